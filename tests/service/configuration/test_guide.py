# SPDX-License-Identifier: Apache-2.0
"""docs/configuration.md: its files are right, its service runs, and its tables are those of the code."""

import json
import re
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.contract import E2eeInformation
from sealpass.core.encrypt import encrypt_password
from sealpass.service import migrations
from sealpass.service.configuration.check import check_configuration, find_in_file
from sealpass.service.configuration.findings import FindingCode
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.configuration.shape import schema_text
from sealpass.service.database import Database

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
FIRST, COMPLETE = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
PASSWORD = "korrekt Pferd Batterie"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with what the first commands make."""
    monkeypatch.chdir(tmp_path)
    key_maker("software:path=e2ee.pem").create_rsa(2048, UnwrapMode.NATIVE)
    key_maker("software:path=seal.jwk").create_aes(256)
    with Database("sqlite:///passwords.db") as database:
        database.create_file()
        migrations.upgrade(database)
    (tmp_path / "sealpass.toml").write_text(FIRST)
    return tmp_path


def test_the_first_file_is_green(folder: Path) -> None:
    """From nothing to no findings at all, as it is printed."""
    assert check_configuration(read_configuration("sealpass.toml")).findings == []


def test_the_service_runs(folder: Path) -> None:
    """The example in Python, as it is printed, with a cheap hash in its file."""
    (folder / "sealpass.toml").write_text(f"{FIRST}[hashing]\nmemory-kib = 8\npasses = 1\nlanes = 1\n")
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    handler = signal.getsignal(signal.SIGHUP)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    with names["SERVICE"] as service:
        service.unguarded.register("user-1", PASSWORD)
        information = E2eeInformation.from_json(json.dumps(names["log_in_page"]("s")).encode())
        assert names["log_in"]("s", "user-1", encrypt_password(PASSWORD, information))
    assert signal.getsignal(signal.SIGHUP) is handler


def test_the_complete_file_is_right(tmp_path: Path) -> None:
    """It can be read, and the only findings are the two warnings that it speaks of."""
    path = tmp_path / "sealpass.toml"
    path.write_text(COMPLETE)
    codes = [finding.code for finding in find_in_file(read_configuration(path))]
    assert codes == [FindingCode.STEP_WITHOUT_E2EE, FindingCode.STEP_WITHOUT_POLICY]


def keys_of(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key of the schema, with NAME and STEP for what is free."""
    schema = root["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    members = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        members["NAME"] = schema["additionalProperties"]
    if not members:
        yield path
    for name, member in members.items():
        yield from keys_of(member, root, f"{path}.{'STEP' if path == 'steps' else name}".removeprefix("."))


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Every key of a document, named as keys_of() names it."""
    if not isinstance(value, dict):
        yield path
        return
    for name, member in value.items():
        free = {"rings": "NAME", "steps": "STEP"}.get(path, name)
        yield from leaves(member, f"{path}.{free}".removeprefix("."))


def rows() -> list[tuple[list[str], str]]:
    """The keys of each row of the table of all keys, and its default."""
    table = GUIDE.partition("## All keys")[2].partition("##")[0]
    cells = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", names), default) for _, names, default, *_ in cells]


def test_the_table_has_every_key() -> None:
    """Each key of the schema is documented, each documented one exists, and the complete example shows all."""
    schema = json.loads(schema_text())
    known = set(keys_of(schema, schema))
    assert {name for names, _ in rows() for name in names} == known
    shown = tomllib.loads(COMPLETE)
    Draft202012Validator(schema).validate(shown)
    assert set(leaves(shown)) == known - {"hashing.profile"}


def test_the_table_has_every_default() -> None:
    """As the schema says it."""
    schema = json.loads(schema_text())
    told = {
        name: default.strip(" `")
        for names, defaults in rows()
        for name, default in zip(names, defaults.split(","), strict=False)
    }
    for table in ("database", "policy", "lock-out", "reuse-lock-out", "letters", "nonces"):
        for name, member in schema["properties"][table]["properties"].items():
            if "default" in member:
                default = member["default"]
                as_toml = f"{default:.0f}" if isinstance(default, float) else str(default).lower()
                assert told[f"{table}.{name}"] == as_toml


@pytest.mark.parametrize("code", FindingCode)
def test_every_finding_is_explained(code: FindingCode) -> None:
    """By its code, in the table of findings."""
    assert f"\n| `{code.value}` | " in GUIDE


def test_what_check_prints_is_what_is_shown(tmp_path: Path) -> None:
    """The form of the lines, with a file that has the two mistakes of the example."""
    shown = GUIDE.partition("$ sealpass config check /etc/sealpass.toml\n")[2].partition("```")[0]
    path = tmp_path / "sealpass.toml"
    path.write_text(FIRST.replace('"seal"', '"sael"').replace("reset     = { profile", "reset     = { profle"))
    with pytest.raises(Exception, match="profle") as caught:
        read_configuration(path)
    for text in str(caught.value).split(";\n"):
        assert re.sub(r"^.*?:\d+:\d+: ", "", text).partition(";")[0] in shown
