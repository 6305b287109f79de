# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from sealpass.backends.secret_source import read_secret
from sealpass.core.errors import ConfigError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("octets", "secret"),
    [
        (b"1234", "1234"),
        (b"1234\n", "1234"),
        (b"1234\r\n", "1234"),
        (b"1234\n\n", "1234\n"),
        (b" 12 34 ", " 12 34 "),
        (b"\n1234", "\n1234"),
        (b"12\r\n34", "12\r\n34"),
        (b"12\r34", "12\r34"),
        ("pässwörd ☃".encode(), "pässwörd ☃"),
        ("\ufffd".encode(), "\ufffd"),
    ],
)
def test_file_is_read_exactly_but_for_one_line_end(tmp_path: Path, octets: bytes, secret: str) -> None:
    """Editors add one; everything else belongs to the secret."""
    path = tmp_path / "pin"
    path.write_bytes(octets)
    assert read_secret(f"file:{path}", "pin-source") == secret


@pytest.mark.parametrize("secret", ["1234", " x ", "x\n", "x\r\n", "file:x"])
def test_environment_is_read_exactly(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """Line ends included: no editor adds anything to a variable."""
    monkeypatch.setenv("SEALPASS_TEST_PIN", secret)
    assert read_secret("env:SEALPASS_TEST_PIN", "pin-source") == secret


def test_is_read_again_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed PIN takes effect at the next login, and nothing is kept in between."""
    path = tmp_path / "pin"
    for secret in ("old", "new"):
        path.write_text(secret)
        monkeypatch.setenv("SEALPASS_TEST_PIN", secret)
        assert read_secret(f"file:{path}", "pin-source") == secret
        assert read_secret("env:SEALPASS_TEST_PIN", "pin-source") == secret


@pytest.mark.parametrize(
    "source", ["", SECRET, f"{SECRET}:", f"prompt:{SECRET}", f"FILE:{SECRET}", "file:", "env:", f":{SECRET}"]
)
def test_other_sources_are_refused_without_repeating_them(source: str) -> None:
    """A PIN where its source belongs is the most likely mistake."""
    with pytest.raises(ConfigError, match="pin-source is neither file:PATH nor env:NAME") as caught:
        read_secret(source, "pin-source")
    assert SECRET not in repr(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """Named, with the system's reason."""
    with pytest.raises(ConfigError, match=r"pin-source: cannot read .*/none: No such file"):
        read_secret(f"file:{tmp_path / 'none'}", "pin-source")


def test_directory(tmp_path: Path) -> None:
    """What cannot be read is a ConfigError, whatever the reason."""
    with pytest.raises(ConfigError, match="directory"):
        read_secret(f"file:{tmp_path}", "pin-source")


def test_path_with_nul() -> None:
    """Python would answer with a ValueError of its own."""
    with pytest.raises(ConfigError, match="NUL"):
        read_secret("file:/tmp/a\0b", "pin-source")


def test_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, so that it can be set."""
    monkeypatch.delenv("SEALPASS_TEST_PIN", raising=False)
    with pytest.raises(ConfigError, match="store-pass-source: the environment variable SEALPASS_TEST_PIN is not set"):
        read_secret("env:SEALPASS_TEST_PIN", "store-pass-source")


@pytest.mark.parametrize("octets", [b"", b"\n", b"\r\n"])
def test_empty_secrets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: bytes) -> None:
    """Nearly always a variable that somebody forgot to set; and a wrong PIN costs a try."""
    path = tmp_path / "pin"
    path.write_bytes(octets)
    monkeypatch.setenv("SEALPASS_TEST_PIN", "")
    for source in (f"file:{path}", "env:SEALPASS_TEST_PIN"):
        with pytest.raises(ConfigError, match="empty"):
            read_secret(source, "pin-source")


@pytest.mark.parametrize("octets", [b"hunter2\xff", b"\xffhunter2", b"hunter2\xed\xa0\x80"])
def test_what_is_no_text_is_refused_without_repeating_it(tmp_path: Path, octets: bytes) -> None:
    """The codec's own error would hold the whole secret."""
    path = tmp_path / "pin"
    path.write_bytes(octets)
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        read_secret(f"file:{path}", "pin-source")
    assert caught.value.__context__ is None
    assert SECRET not in repr(caught.value)


def test_a_file_without_end_is_refused() -> None:
    """What is too long for a secret is not read to its end, and not shown."""
    with pytest.raises(ConfigError, match="over 4096 bytes"):
        read_secret("file:/dev/zero", "pin-source")
