# SPDX-License-Identifier: Apache-2.0
import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.core.argon2_hash import HASHING_PROFILES, RFC_9106_LOW_MEMORY, Argon2Ceilings, Argon2Parameters
from sealpass.core.contract import PROFILES
from sealpass.core.errors import ConfigError
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS, NonceForm
from sealpass.core.nonces import Purpose
from sealpass.core.password_size import MAX_PASSWORD_BYTES
from sealpass.service.configuration.findings import ConfigurationRefused
from sealpass.service.configuration.reading import MAX_FILE_BYTES, read_configuration
from sealpass.service.configuration.shape import schema_text
from sealpass.service.configuration.values import DatabaseSettings, NonceSettings, StepSettings
from sealpass.service.legacy_hashes import LEGACY_HASHES
from sealpass.service.policy import MAX_HISTORY, Normalisation, PasswordPolicy
from sealpass.service.repository import DEFAULT_LETTER_LIFETIME, DEFAULT_LOCK_OUT
from sealpass.service.storage import LockOut
from tests.service.configuration.conftest import ConfigurationFile

SECRET = "hunter2-of-the-operator"


def refused(path: Path) -> list[str]:
    """What is said of a file that is wrong, without the file's name."""
    with pytest.raises(ConfigurationRefused) as caught:
        read_configuration(path)
    assert str(caught.value) == ";\n".join(finding.text(path) for finding in caught.value.findings)
    return [finding.text(path).removeprefix(f"{path}:") for finding in caught.value.findings]


def test_what_is_not_said_is_the_default(file: ConfigurationFile) -> None:
    """A small file gives what the parts of the service have as defaults."""
    read = read_configuration(file.path)
    assert (read.database.connections, read.database.timeout_seconds) == (10, 10.0)
    assert read.policy.rules == PasswordPolicy()
    assert read.policy.block_list is None
    assert read.lock_out == read.reuse_lock_out == DEFAULT_LOCK_OUT
    assert read.letter_lifetime_seconds == DEFAULT_LETTER_LIFETIME
    assert read.nonces == NonceSettings()
    assert read.reload_seconds is None
    assert set(read.steps) == set(Purpose)
    assert read.steps[Purpose.CHECK] == StepSettings(SEALPASS, "e2ee")
    assert read.rings["e2ee"].failure_floor_seconds is None


def test_everything_can_be_said(file: ConfigurationFile, keys: str) -> None:
    """Every table and key arrives where it belongs."""
    file.replace(
        ('check = { ring = "e2ee" }', 'check = { ring = "e2ee", profile = "airlock-jwe", pointer = "/a" }'),
        ('change = { ring = "e2ee" }', 'change = { ring = "e2ee", allow-sha1 = true, policy = "off" }'),
        (
            'reset = { ring = "e2ee" }',
            'reset = { ring = "e2ee", profile = "airlock-kms", kms-key-bits = 128, kms-aad = "bytes" }',
        ),
        ('register = { ring = "e2ee" }', 'register = { e2ee = "off" }'),
        ("[rings.seal]", f'previous = ["{keys}/e2ee-new.pem"]\nfailure-floor-seconds = 0.2\n[rings.seal]'),
        ("[rings.e2ee]", "connections = 3\ntimeout-seconds = 2\n[rings.e2ee]"),
        ("lanes = 1", 'lanes = 1\nceilings = { passes = 2 }\nlegacy = ["scrypt", "sha256-hex"]'),
    )
    file.add(
        '[policy]\nmin-length = 8\nmax-length = 99\nnormalisation = "nfc"\ncontrol-characters = true\nhistory = 0\n'
        'block-list = "common.txt"\n[lock-out]\nattempts = 3\nseconds = inf\n[reuse-lock-out]\nattempts = 4\n'
        "[letters]\nlifetime-seconds = 60\n[nonces]\nlifetime-seconds = 20\ncapacity = 9\nper-session = 2\n"
        "[reload]\ninterval-seconds = 1.5\n"
    )
    read = read_configuration(file.path)
    assert (read.database.connections, read.database.timeout_seconds) == (3, 2)
    assert read.steps == {
        Purpose.CHECK: StepSettings(AIRLOCK_JWE.reading("/a"), "e2ee"),
        Purpose.CHANGE: StepSettings(SEALPASS.allowing_sha1(), "e2ee", policy_off=True),
        Purpose.RESET: StepSettings(AIRLOCK_KMS.with_key_bits(128).authenticating(NonceForm.BYTES), "e2ee"),
        Purpose.REGISTER: StepSettings(SEALPASS, None, e2ee_off=True),
        Purpose.ADMIN_SET: StepSettings(SEALPASS, "e2ee"),
    }
    assert [str(uri) for uri in read.rings["e2ee"].previous] == [f"{keys}/e2ee-new.pem"]
    assert read.rings["e2ee"].failure_floor_seconds == 0.2
    assert read.hashing.parameters == Argon2Parameters(8, 1, 1)
    assert read.hashing.ceilings == Argon2Ceilings(passes=2)
    assert read.hashing.legacy == ("scrypt", "sha256-hex")
    assert read.policy.rules == PasswordPolicy(8, 99, Normalisation.NFC, control_characters=True, history=0)
    assert read.policy.block_list == file.path.parent / "common.txt"
    assert (read.lock_out, read.reuse_lock_out) == (LockOut(3, math.inf), LockOut(4, 900))
    assert read.letter_lifetime_seconds == 60
    assert read.nonces == NonceSettings(20, 9, 2)
    assert read.reload_seconds == 1.5


def test_the_numbers_of_tune_can_be_pasted(file: ConfigurationFile) -> None:
    """'sealpass hash tune' prints a table [hashing] that the file takes as it is; a profile does as well."""
    assert read_configuration(file.path).hashing.parameters == Argon2Parameters(8, 1, 1)
    file.replace(("memory-kib = 8\npasses = 1\nlanes = 1\n", 'profile = "owasp-12-mib"\n'))
    assert read_configuration(file.path).hashing.parameters == HASHING_PROFILES["owasp-12-mib"]
    file.replace(('[hashing]\nprofile = "owasp-12-mib"\n', ""))
    assert read_configuration(file.path).hashing.parameters == RFC_9106_LOW_MEMORY


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[records]", "[recrods]", ["1:1: error: records: missing", 'recrods: unknown key; did you mean "records"?']),
        (
            'ring = "seal"',
            'rng = "seal"',
            ["7:2: error: records.ring: missing in [records]", "8:1: error: records.rng"],
        ),
        ('ring = "seal"', 'ring = "sael"', ["8:1: error: records.ring: there is no such ring"]),
        ('reset = { ring = "e2ee" }', 'reset = { ring = "x" }', ["16:11: error: steps.reset.ring: there is no such"]),
        ("passes = 1", 'passes = "1"', ["11:1: error: hashing.passes: must be a whole number, not a text"]),
        ("passes = 1", "passes = 1.0", ["hashing.passes: must be a whole number, not a number with a fraction"]),
        ("passes = 1", "passes = true", ["hashing.passes: must be a whole number, not true or false"]),
        ("passes = 1", "passes = 0", ["hashing.passes: must be at least 1"]),
        ("passes = 1", "passes = 1979-05-27", ["hashing.passes: must be a whole number, not a date or time"]),
        ("passes = 1\n", "", ["9:2: error: hashing: needs all of memory-kib, passes, lanes"]),
        ("passes = 1", 'passes = 1\nprofile = "owasp-12-mib"', ["hashing: a profile and numbers of its own"]),
        ("memory-kib = 8", "memory-kib = 16\nceilings = { memory-kib = 8 }", ["hashing.ceilings: below what new"]),
        ("lanes = 1", "lanes = 2", ["9:2: error: hashing: Argon2id takes at least 8 KiB of memory for each lane"]),
        ("lanes = 1", 'lanes = 1\nlegacy = ["scrypt", "md5"]', ["13:21: error: hashing.legacy[1]: must be one of"]),
        (
            "[steps]",
            '[steps]\nchek = { ring = "e2ee" }',
            ['14:1: error: steps.chek: unknown key; did you mean "check"?'],
        ),
        ('check = { ring = "e2ee" }', "check = 1", ["14:1: error: steps.check: must be a table, not a whole number"]),
        ('check = { ring = "e2ee" }', 'check = { ring = "e2ee", policy = "off" }', ["steps.check.policy: unknown key"]),
        ('reset = { ring = "e2ee" }', 'reset = { e2ee = "none" }', ['16:11: error: steps.reset.e2ee: must be "off"']),
        (
            'reset = { ring = "e2ee" }',
            'reset = { e2ee = "off", ring = "e2ee" }',
            ["16:25: error: steps.reset.ring: means"],
        ),
        (
            'reset = { ring = "e2ee" }',
            'reset = { ring = "e2ee", pointer = "/a" }',
            ["steps.reset.pointer: is for profile airlock-jwe only"],
        ),
        (
            'reset = { ring = "e2ee" }',
            'reset = { ring = "e2ee", kms-aad = "text" }',
            ["steps.reset.kms-aad: is for pr"],
        ),
        ('check = { ring = "e2ee" }', 'check = { e2ee = "off" }', ["15:1: error: steps.change: E2EE is off in one of"]),
        ('/seal.jwk"', '/seal.jwk"\nprevious = "x"', ["7:1: error: rings.seal.previous: must be a list, not a text"]),
        ('/seal.jwk"', '/seal.jwk"\nprevious = ["x"]', ["7:13: error: rings.seal.previous[0]: not a key URI"]),
        ('/seal.jwk"', '/seal.jwk?x=1"', ["6:1: error: rings.seal.current: software: unknown query attribute 'x'"]),
        ('/seal.jwk"', '/seal.jwk"\nfailure-floor-seconds = nan', ["failure-floor-seconds: must be a number, not nan"]),
        ("[records]", "[rings.seal]\n[records]", ["error: not TOML: [rings.seal] stands twice"]),
        ("[records]", "[records", ["7:9: error: not TOML: Expected ']' at the end of a table declaration"]),
        ('admin-set = { ring = "e2ee" }\n', 'admin-set = "', ["18:14: error: not TOML: Unterminated string"]),
        ('url = "', 'url = "mysql://x@y/z" # "', ["2:1: error: database.url: sealpass stores in SQLite or Postgre"]),
        ('url = "', 'url = "" # "', ["2:1: error: database.url: must not be empty"]),
        ("[records]", "[rings.empty]\n[records]", ["7:8: error: rings.empty.current: missing in [rings.empty]"]),
        ("[records]", '["a b"]\n[records]', ['7:2: error: "a b": unknown key; known here: database, rings,']),
    ],
)
def test_an_error_names_its_line_and_key(file: ConfigurationFile, old: str, new: str, said: list[str]) -> None:
    """Each kind of mistake, where it stands; and nothing else is said."""
    found = refused(file.replace((old, new)))
    assert len(found) == len(said)
    for text, expected in zip(found, said, strict=True):
        assert expected in text


def test_all_errors_are_told_at_once(file: ConfigurationFile) -> None:
    """Those of the schema and those that it cannot see, in the order of their lines."""
    file.replace(('ring = "seal"', 'ring = "sael"'), ("passes = 1", 'passes = "1"'), ("/e2ee.pem", "/e2ee.pem;x=1"))
    file.add("[policy]\nmin-length = 20\nmax-length = 10\n[lock-out]\nattempt = 1\n")
    lines = [int(text.partition(":")[0]) for text in refused(file.path)]
    assert lines == [4, 8, 11, 20, 23]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('url = "', f'url = "postgresql://app:{SECRET}@db/x" # "'),
        ('url = "', f'url = "mysql://app:{SECRET}@db/x" # "'),
        ("/seal.jwk", f"/seal.jwk?pin-value={SECRET}"),
        ("/seal.jwk", f"/seal.jwk?pin-source={SECRET}"),
        ("passes = 1", f'passes = "{SECRET}"'),
        ("lanes = 1", f'lanes = 1\nlegacy = ["{SECRET}"]'),
        ('ring = "seal"', f'ring = "{SECRET}"'),
        ("memory-kib = 8", f'pin = "{SECRET}"'),
        ("passes = 1", f"passes = {SECRET}"),
    ],
)
def test_no_value_is_quoted(file: ConfigurationFile, old: str, new: str) -> None:
    """Whatever somebody wrote where no secret belongs is not repeated by the error, nor by anything attached to it."""
    with pytest.raises(ConfigurationRefused) as caught:
        read_configuration(file.replace((old, new)))
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(caught.value.findings)
    assert caught.value.__cause__ is None


def test_variables_and_files_need_not_be_there(file: ConfigurationFile) -> None:
    """A file is read where neither its database nor the variable with the URL is known: on a developer's machine."""
    text = file.text.replace(file.text.splitlines()[1], 'url = "env:SEALPASS_NOT_SET"')
    file.path.write_text(text)
    assert read_configuration(file.path).database == DatabaseSettings("env:SEALPASS_NOT_SET")


def test_windows_line_ends_do_not_move_the_columns(file: ConfigurationFile) -> None:
    """Positions are those that an editor shows."""
    file.path.write_bytes(file.text.replace("passes = 1", "passes = x").replace("\n", "\r\n").encode())
    assert refused(file.path) == ["11:10: error: not TOML: Invalid value"]


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, other octets, a giant, and one that would take the parser's stack."""
    path = tmp_path / "x.toml"
    for content, said in (
        (None, "No such file"),
        (b"a = '\xff'", "not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), "has over"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            read_configuration(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_configuration(tmp_path)


def test_a_file_that_the_parser_can_just_read_is_refused(tmp_path: Path) -> None:
    """However deep it is nested: what looks at it afterwards needs more of the stack than the parser."""
    path = tmp_path / "x.toml"
    said = []
    for depth in range(100, 600, 10):
        path.write_text(f"a = {'[' * depth}{']' * depth}")
        with pytest.raises(ConfigError) as refused:
            read_configuration(path)
        said.append(not isinstance(refused.value, ConfigurationRefused))
    assert set(said) == {False, True}
    assert said == sorted(said)


# -- the schema --------------------------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    """As it is published."""
    loaded = json.loads(schema_text())
    assert isinstance(loaded, dict)
    return loaded


def defaults(table: str) -> dict[str, Any]:
    """The defaults of a table, by field."""
    properties = schema()["properties"][table]["properties"]
    return {name.replace("-", "_"): value["default"] for name, value in properties.items() if "default" in value}


def test_the_schema_is_one() -> None:
    """It follows its own meta-schema, and uses no keyword for which there are no words."""
    Draft202012Validator.check_schema(schema())
    known = {"$schema", "$defs", "$ref", "title", "description", "type", "properties", "required", "enum", "default"}
    known |= {"additionalProperties", "items", "minimum", "maximum", "minLength", "minProperties", "uniqueItems"}

    def keywords(part: Any, *, names: bool = False) -> set[str]:
        if not isinstance(part, dict):
            return set()
        below = (keywords(value, names=name in ("properties", "$defs") and not names) for name, value in part.items())
        return (set() if names else set(part)).union(*below) - ({"default"} if names else set())

    assert keywords(schema()) <= known


def test_the_schema_has_the_defaults_of_the_code() -> None:
    """What an editor shows as a default is what holds."""
    policy = {f.name: f.default for f in fields(PasswordPolicy) if f.name != "block_list"}
    assert defaults("policy") == policy
    assert defaults("nonces") == {f.name: f.default for f in fields(NonceSettings)}
    assert defaults("database") == {f.name: f.default for f in fields(DatabaseSettings) if f.name != "url"}
    for table in ("lock-out", "reuse-lock-out"):
        assert defaults(table) == {"attempts": DEFAULT_LOCK_OUT.attempts, "seconds": DEFAULT_LOCK_OUT.seconds}
    assert defaults("letters") == {"lifetime_seconds": DEFAULT_LETTER_LIFETIME}
    ceilings = schema()["properties"]["hashing"]["properties"]["ceilings"]["properties"]
    assert {name.replace("-", "_"): value["default"] for name, value in ceilings.items()} == {
        f.name: f.default for f in fields(Argon2Ceilings)
    }


def test_the_schema_has_the_names_and_bounds_of_the_code() -> None:
    """Profiles, steps, legacy forms and what a policy may say."""
    root, parts = schema()["properties"], schema()["$defs"]
    assert root["hashing"]["properties"]["profile"]["enum"] == list(HASHING_PROFILES)
    assert HASHING_PROFILES[root["hashing"]["properties"]["profile"]["default"]] is RFC_9106_LOW_MEMORY
    assert root["hashing"]["properties"]["legacy"]["items"]["enum"] == list(LEGACY_HASHES)
    assert list(root["steps"]["properties"]) == [purpose.value for purpose in Purpose]
    assert parts["profile"]["enum"] == list(PROFILES)
    assert parts["kms-aad"]["enum"] == list(NonceForm)
    assert root["policy"]["properties"]["normalisation"]["enum"] == list(Normalisation)
    assert root["policy"]["properties"]["history"]["maximum"] == MAX_HISTORY
    assert root["policy"]["properties"]["max-length"]["maximum"] == MAX_PASSWORD_BYTES


def test_a_value_of_another_kind_is_one_error(file: ConfigurationFile) -> None:
    """What else is asked of it is not told as well."""
    file.replace(('reset = { ring = "e2ee" }', "reset = { e2ee = false }"))
    assert refused(file.path) == ["16:11: error: steps.reset.e2ee: must be a text, not true or false"]


def test_missing_steps_are_told_with_all_else(file: ConfigurationFile) -> None:
    """And not only once the rest is right."""
    file.replace(('reset = { ring = "e2ee" }\n', ""), ("passes = 1", "pases = 1"))
    told = refused(file.path)
    assert any("hashing.pases: unknown key" in line for line in told)
    assert any("steps.reset: the step is not configured" in line for line in told)
