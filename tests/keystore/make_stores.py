# SPDX-License-Identifier: Apache-2.0
"""Has keytool and Java write the key stores of these tests: ``python -m tests.keystore.make_stores FOLDER``.

The committed ones in ``stores/`` came from JDK 17. All hold the same RSA keys, so what opens under one store's key
must open under another's. Their keys and passwords are public and protect nothing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

STORE_PASSWORD = "open-sesame"
KEY_PASSWORDS = {"rsa-2048": "key-pass-2048", "rsa-3072": "key-pass-3072", "aes-256": "key-pass-aes"}
"""Of JKS, JCEKS and per-entry.p12. keytool gives PKCS #12 entries the password of the store."""
KNOWN_AES_KEY = bytes(range(32))
"""``aes-256`` of per-entry.p12; those of the others are keytool's."""
STORES = ("modern.p12", "legacy.p12", "store.jks", "store.jceks", "per-entry.p12", "expired.p12", "others.p12")

# The machine that runs the tests has two processors; a short-lived Java needs no second compiler and no parallel GC.
_FRUGAL = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_JAVA_FILE = Path(__file__).parent / "PerEntry.java"


def _keytool(folder: Path, *arguments: str, given: str = "") -> None:
    command = ["keytool", *(f"-J{option}" for option in _FRUGAL), *arguments]
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")


def _generate(folder: Path, store: str, command: str, alias: str, *arguments: str) -> None:
    _keytool(
        folder, command, "-alias", alias, *arguments, "-storetype", "PKCS12", "-keystore", store,
        "-storepass", STORE_PASSWORD,
    )  # fmt: skip


def _copy(folder: Path, target: str, kind: str, *arguments: str) -> None:
    _keytool(
        folder, "-importkeystore", "-srckeystore", "modern.p12", "-srcstorepass", STORE_PASSWORD,
        "-destkeystore", target, "-deststoretype", kind, "-deststorepass", STORE_PASSWORD, *arguments,
    )  # fmt: skip


def make_main_stores(folder: Path) -> None:
    """The five stores with the same keys: modern.p12, legacy.p12, store.jks, store.jceks, per-entry.p12."""
    for bits in ("2048", "3072"):
        _generate(
            folder, "modern.p12", "-genkeypair", f"RSA-{bits}", "-keyalg", "RSA", "-keysize", bits,
            "-dname", f"CN=rsa-{bits}", "-validity", "36500",
        )  # fmt: skip
    _generate(folder, "modern.p12", "-genseckey", "aes-256", "-keyalg", "AES", "-keysize", "256")
    _copy(folder, "legacy.p12", "PKCS12", "-J-Dkeystore.pkcs12.legacy")
    for alias in ("rsa-2048", "rsa-3072"):
        _copy(folder, "store.jks", "JKS", "-srcalias", alias, "-destkeypass", KEY_PASSWORDS[alias])
    for alias in ("rsa-2048", "rsa-3072", "aes-256"):
        _copy(folder, "store.jceks", "JCEKS", "-srcalias", alias, "-destkeypass", KEY_PASSWORDS[alias])
    command = ["java", *_FRUGAL, str(_JAVA_FILE), "modern.p12", "per-entry.p12", STORE_PASSWORD]
    command += [f"{alias}={password}" for alias, password in KEY_PASSWORDS.items()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def make_aes_stores(folder: Path) -> None:
    """AES keys of the sizes that the main stores do not have: aes.p12, aes.jceks."""
    for bits in ("128", "192"):
        _generate(folder, "aes.p12", "-genseckey", f"aes-{bits}", "-keyalg", "AES", "-keysize", bits)
    _keytool(
        folder, "-importkeystore", "-srckeystore", "aes.p12", "-srcstorepass", STORE_PASSWORD,
        "-destkeystore", "aes.jceks", "-deststoretype", "JCEKS", "-deststorepass", STORE_PASSWORD,
    )  # fmt: skip


def make_other_stores(folder: Path) -> None:
    """An expired certificate; keys and entries that sealpass has no use for."""
    rsa = ("-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=expired")
    _generate(folder, "expired.p12", "-genkeypair", "rsa", *rsa, "-startdate", "-10d", "-validity", "1")
    _generate(folder, "others.p12", "-genkeypair", "ec", "-keyalg", "EC", "-dname", "CN=ec", "-validity", "36500")
    _generate(folder, "others.p12", "-genkeypair", "pss", "-keyalg", "RSASSA-PSS", "-keysize", "2048", "-dname", "CN=p")
    _generate(folder, "others.p12", "-genkeypair", "weak", "-keyalg", "RSA", "-keysize", "1024", "-dname", "CN=weak")
    _generate(folder, "others.p12", "-genseckey", "hmac", "-keyalg", "HmacSHA256", "-keysize", "256")
    _generate(folder, "others.p12", "-exportcert", "ec", "-file", "ec.crt")
    _generate(folder, "others.p12", "-importcert", "certificate", "-file", "ec.crt", "-noprompt")
    _keytool(
        folder, "-importpass", "-alias", "password", "-storetype", "JCEKS", "-keystore", "store.jceks",
        "-storepass", STORE_PASSWORD, "-keypass", STORE_PASSWORD, given="secret-text\nsecret-text\n",
    )  # fmt: skip
    for store, kind in (("store.jks", "JKS"), ("store.jceks", "JCEKS")):
        _keytool(
            folder, "-importcert", "-alias", "certificate", "-file", "ec.crt", "-noprompt", "-storetype", kind,
            "-keystore", store, "-storepass", STORE_PASSWORD,
        )  # fmt: skip
    (folder / "ec.crt").unlink()


def keytool_is_missing() -> bool:
    """Whether this machine has no JDK."""
    return shutil.which("keytool") is None or shutil.which("java") is None


if __name__ == "__main__":
    make_main_stores(Path(sys.argv[1]))
    make_other_stores(Path(sys.argv[1]))
    make_aes_stores(Path(sys.argv[1]))
