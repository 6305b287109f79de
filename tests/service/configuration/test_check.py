# SPDX-License-Identifier: Apache-2.0
import shutil
from collections import Counter
from pathlib import Path

import pytest

from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import AuthenticationFailed, MissingDependency
from sealpass.core.protocols import Key
from sealpass.core.uri import KeyUri
from sealpass.service import legacy_hashes
from sealpass.service.configuration import check, open_service
from sealpass.service.configuration.check import check_configuration, find_in_file
from sealpass.service.configuration.findings import FindingCode
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.password_repository import Outcome
from tests.service.configuration.conftest import ConfigurationFile
from tests.support.kms_emulator import REGION, KmsEmulator
from tests.support.soft_tokens import SoftToken

STEPS = ("check", "change", "reset", "register", "admin-set")


def found(path: Path, *, offline: bool = False) -> list[str]:
    """The findings of a file, as ``LINE severity code key``."""
    configuration = read_configuration(path)
    findings = find_in_file(configuration) if offline else check_configuration(configuration).findings
    return [
        f"{f.position.line} {f.severity.value} {f.code.value} {f.key}"
        for f in findings
        if f.code is not FindingCode.HASHING_WEAK  # of the template, so that tests are quick
    ]


def test_a_good_configuration_has_no_findings(file: ConfigurationFile) -> None:
    """And all of its keys are listed, with what they are for."""
    file.replace(("memory-kib = 8\npasses = 1", "memory-kib = 19456\npasses = 2"))
    checked = check_configuration(read_configuration(file.path))
    assert checked.findings == []
    assert [(key.place, key.uses) for key in checked.keys] == [
        (("rings", "e2ee", "current"), ("tokens",)),
        (("rings", "seal", "current"), ("records",)),
    ]
    assert checked.keys[1].does == ("A256GCM",)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("offline", [True, False])
def test_a_step_that_is_left_open_is_found(file: ConfigurationFile, step: str, offline: bool) -> None:  # noqa: FBT001 - a parameter
    """One that is not there, and one without a ring, are errors: the browser's encryption would be missing."""
    line = 14 + STEPS.index(step)
    whole = f'{step} = {{ ring = "e2ee" }}\n'
    good = file.text
    assert found(file.replace((f"\n{whole}", "\n")), offline=offline) == [f"13 error step-missing steps.{step}"]
    for open_step in ("{}", '{ profile = "sealpass" }'):
        file.path.write_text(good)
        expected = [f"{line} error step-without-e2ee steps.{step}"]
        assert found(file.replace((f"\n{whole}", f"\n{step} = {open_step}\n")), offline=offline) == expected


def test_what_is_off_on_purpose_is_a_warning(file: ConfigurationFile) -> None:
    """E2EE and policy, each at its own key."""
    file.replace(
        ('register = { ring = "e2ee" }', 'register = { e2ee = "off", policy = "off" }'),
        ('reset = { ring = "e2ee" }', 'reset = { ring = "e2ee", policy = "off" }'),
    )
    assert found(file.path) == [
        "16 warning step-without-policy steps.reset.policy",
        "17 warning step-without-e2ee steps.register.e2ee",
        "17 warning step-without-policy steps.register.policy",
    ]


def test_one_ring_for_two_purposes_is_found(file: ConfigurationFile) -> None:
    """Tokens and records need keys of different kinds, and never the same one."""
    file.replace(('ring = "seal"', 'ring = "e2ee"'))
    assert found(file.path, offline=True) == [
        "8 error key-shared records.ring",
        "5 warning ring-unused rings.seal",
    ]


def test_one_key_in_two_rings_is_found_by_its_uri(file: ConfigurationFile, keys: str) -> None:
    """Of two purposes it is an error, without opening anything; of one purpose, or none, a warning."""
    file.replace(("[records]", f'previous = ["{keys}/e2ee.pem"]\n[rings.idle]\ncurrent = "{keys}/seal.jwk"\n[records]'))
    assert found(file.path, offline=True) == [
        "8 warning ring-unused rings.idle",
        "7 error key-shared rings.seal.previous[0]",
        "9 warning key-shared rings.idle.current",
    ]


def test_one_key_in_two_places_is_found_by_its_id(file: ConfigurationFile, keys: str, tmp_path: Path) -> None:
    """Another URI for the same key hides nothing: not in another ring, and not in the same one."""
    for name in ("e2ee.pem", "seal.jwk"):
        shutil.copy(Path(keys.partition("=")[2]) / name, tmp_path / name)
    file.replace(
        ("[rings.seal]", f'previous = ["software:path={tmp_path}/e2ee.pem"]\n[rings.seal]'),
        ("[records]", f'[rings.idle]\ncurrent = "software:path={tmp_path}/seal.jwk"\n[records]'),
    )
    shared = [line for line in found(file.path) if "key-shared" in line]
    assert shared == ["5 error key-shared rings.e2ee.previous[0]", "9 warning key-shared rings.idle.current"]
    assert not any("key-shared" in line for line in found(file.path, offline=True))


def test_an_alias_and_its_key_may_be_in_one_ring(file: ConfigurationFile, kms_in_process: KmsEmulator) -> None:
    """Of AWS KMS, where the ring follows the alias and keeps the key of before."""
    kms_in_process.reset()
    alias = f"awskms:key-id=alias/of-a-checked-ring;region={REGION}"
    key_maker(alias).create_rsa(2048, UnwrapMode.NATIVE)
    listings = key_maker(f"awskms:region={REGION}").list_keys()
    (listed,) = (each for each in listings if "alias/of-a-checked-ring" in each.aliases)  # other tests make keys, too
    own = str(listed.uri)
    assert own != alias
    file.path.write_text(file.text.replace(file.text.splitlines()[3], f'current = "{alias}"\nprevious = ["{own}"]'))
    assert found(file.path) == []


def test_a_key_of_the_wrong_kind_is_found(file: ConfigurationFile, keys: str) -> None:
    """A ring for tokens with an AES key, a ring for records with an RSA key, among the previous ones, too."""
    file.replace(
        ("[rings.seal]", f'previous = ["{keys}/seal-new.jwk"]\n[rings.seal]'),
        ("[records]", f'previous = ["{keys}/e2ee-new.pem"]\n[records]'),
    )
    assert found(file.path) == [
        "5 error key-cannot rings.e2ee.previous[0]",
        "8 error key-cannot rings.seal.previous[0]",
    ]


def test_a_key_that_cannot_do_the_profile_is_found(file: ConfigurationFile, softhsm2: SoftToken) -> None:
    """SoftHSM2 knows SHA-1 only: the finding names the steps and the way out, which works."""
    uri = softhsm2.shared_key()
    file.path.write_text(file.text.replace(file.text.splitlines()[3], f'current = "{uri}"'))
    _weak, finding = check_configuration(read_configuration(file.path)).findings
    assert (finding.code, finding.key, finding.position.line) == ("key-cannot", "rings.e2ee.current", 4)
    assert "(steps check, change, reset, register, admin-set)" in finding.message
    assert "allow-sha1 = true" in str(finding.hint)
    file.path.write_text(file.text.replace('{ ring = "e2ee" }', '{ ring = "e2ee", allow-sha1 = true }'))
    assert found(file.path) == []


def test_a_key_that_does_not_answer_is_found(file: ConfigurationFile) -> None:
    """A key file that is not there; the other keys are asked all the same."""
    file.replace(("/e2ee.pem", "/gone.pem"))
    checked = check_configuration(read_configuration(file.path))
    _weak, finding = checked.findings
    assert (finding.code, finding.key) == ("key-does-not-answer", "rings.e2ee.current")
    assert "gone.pem" in finding.message
    assert [key.place[1] for key in checked.keys] == ["seal"]


def test_a_wrong_pin_is_sent_once_to_a_device(
    file: ConfigurationFile, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token locks after a few: the other keys of the same device are not tried, those of others are."""
    tried: Counter[str] = Counter()

    def refuse(uri: KeyUri) -> Key:
        tried[str(uri)] += 1
        raise AuthenticationFailed("the token refused the PIN")

    monkeypatch.setattr(check, "open_key", refuse)
    monkeypatch.setattr(check, "_database", lambda *_: [])
    one, other = "pkcs11:token=one;object={}?pin-source=env:A", "pkcs11:token=other;object={}?pin-source=env:A"
    text = file.text.replace(f"{keys}/e2ee.pem", one.format("a")).replace(f"{keys}/seal.jwk", other.format("c"))
    previous = ", ".join(f'"{uri}"' for uri in (one.format("b"), other.format("d")))
    file.path.write_text(text.replace("[rings.seal]", f"previous = [{previous}]\n[rings.seal]"))
    assert found(file.path) == [
        "4 error key-does-not-answer rings.e2ee.current",
        "5 error key-does-not-answer rings.e2ee.previous[0]",
        "5 error key-does-not-answer rings.e2ee.previous[1]",
        "7 error key-does-not-answer rings.seal.current",
    ]
    assert sorted(tried) == [one.format("a"), other.format("d")]
    assert set(tried.values()) == {1}


def test_block_list_and_database_are_looked_at(file: ConfigurationFile, tmp_path: Path) -> None:
    """A list that is not there is an error of the file; missing tables, or a server that is away, are not."""
    (tmp_path / "passwords.db").unlink()
    path = file.add('[policy]\nblock-list = "gone.txt"\n')
    assert found(path) == ["20 error file policy.block-list", "2 error database database.url"]
    (tmp_path / "gone.txt").write_text("password\n")
    assert found(path) == ["2 error database database.url"]
    path.write_text(file.text.replace(file.text.splitlines()[1], 'url = "postgresql://x@127.0.0.1:1/x"'))
    assert found(path) == ["2 error database-does-not-answer database.url"]
    path.write_text(file.text.replace(file.text.splitlines()[1], 'url = "env:SEALPASS_NOT_SET"'))
    assert found(path) == ["2 error database database.url"]


def test_records_under_a_key_that_left_the_ring_too_early_are_found(file: ConfigurationFile, keys: str) -> None:
    """By its id and number, in all slots, at the ring; with the key back in previous all is well."""
    with open_service(file.path) as service:
        assert service.unguarded.register("u", "correct horse battery") is Outcome.DONE
        assert service.unguarded.change("u", "correct horse battery", "another horse and battery") is Outcome.DONE
    with open_key(f"{keys}/seal.jwk") as key:
        key_id = key.key_id
    file.replace((f'current = "{keys}/seal.jwk"', f'current = "{keys}/seal-new.jwk"'))
    finding = next(f for f in check_configuration(read_configuration(file.path)).findings if "too early" in f.message)
    assert (finding.position.line, finding.severity.value, finding.key) == (5, "error", "rings.seal")
    assert finding.message == f"a key left the ring too early: 2 records are under {key_id}"
    assert "previous" in str(finding.hint)
    assert found(file.path, offline=True) == []
    file.replace(("[records]", f'previous = ["{keys}/seal.jwk"]\n[records]'))
    assert found(file.path) == []


def test_a_key_that_does_not_answer_is_not_taken_for_one_that_left(file: ConfigurationFile, keys: str) -> None:
    """Records may be under it."""
    with open_service(file.path) as service:
        assert service.unguarded.register("u", "correct horse battery") is Outcome.DONE
    file.replace((f'current = "{keys}/seal.jwk"', f'current = "{keys}/seal-new.jwk"\nprevious = ["{keys}/gone.jwk"]'))
    assert found(file.path) == ["7 error key-does-not-answer rings.seal.previous[0]"]


def test_weak_hashing_and_short_passwords_are_warnings(file: ConfigurationFile) -> None:
    """Nothing keeps a service from them, but somebody should have meant it."""
    file.add("[policy]\nmin-length = 7\n")
    findings = find_in_file(read_configuration(file.path))
    assert [(f.position.line, f.severity.value, f.code.value) for f in findings] == [
        (9, "warning", "hashing-weak"),
        (20, "warning", "policy-weak"),
    ]


def test_a_hash_that_this_machine_has_no_memory_for_is_an_error(file: ConfigurationFile) -> None:
    """In the check, and at the start of a service, before anybody logs in."""
    file.replace(("memory-kib = 8", "memory-kib = 4294967295"))
    assert found(file.path) == ["10 error hashing-too-large hashing.memory-kib"]


def test_one_key_twice_in_a_ring_is_told(file: ConfigurationFile, keys: str) -> None:
    """Whoever wrote it meant another key: a rotation with it would move nothing, and the service does not begin."""
    file.replace((f'current = "{keys}/seal.jwk"', f'current = "{keys}/seal.jwk"\nprevious = ["{keys}/seal.jwk"]'))
    assert found(file.path, offline=True) == ["7 error key-shared rings.seal.previous[0]"]


def test_a_legacy_hash_that_is_not_installed_is_an_error(
    file: ConfigurationFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service would not begin either."""
    file.replace(("lanes = 1", 'lanes = 1\nlegacy = ["scrypt", "bcrypt"]'))
    assert found(file.path) == []
    monkeypatch.setattr(legacy_hashes, "_bcrypt", None)
    assert found(file.path) == ["13 error hashing-missing hashing.legacy[1]"]
    with pytest.raises(MissingDependency):
        open_service(file.path)
