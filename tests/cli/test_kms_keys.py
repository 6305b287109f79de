# SPDX-License-Identifier: Apache-2.0
"""``sealpass keys`` on AWS KMS, and the emulator that stands in for it."""

import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, Run
from tests.support.kms_emulator import KmsEmulator

GUIDE = (Path(__file__).parents[2] / "docs" / "awskms.md").read_text(encoding="utf-8")
TOOL = Path(__file__).parents[2] / "tools" / "kms-emulator"

RunKms = Callable[..., Ran]


@pytest.fixture
def run_kms(run: Run, kms_over_http: KmsEmulator) -> RunKms:
    """The command where AWS KMS is the emulator."""
    kms_over_http.reset()
    return lambda *arguments: run(*arguments, **kms_over_http.environment)


def test_moving_an_alias_says_from_where_to_where(run_kms: RunKms, kms_over_http: KmsEmulator) -> None:
    """A new alias must be asked for; a move names the old key as a ring's ``previous`` wants it."""
    region = "ap-south-1"
    alias = f"awskms:key-id=alias/moves;region={region}"
    client = kms_over_http.client(region_name=region)
    old, new = (f"awskms:key-id={client.create_key()['KeyMetadata']['KeyId']};region={region}" for _ in range(2))

    refused = run_kms("keys", "alias", alias, old, "--json")
    assert (refused.status, refused.out) == (2, b"")
    assert refused.error["code"] == "config"
    assert "--create" in str(refused.error["hint"])

    made = run_kms("keys", "alias", alias, old, "--create")
    assert (made.status, made.text) == (0, alias)
    assert made.err == f"made alias/moves, which names {old}\n"

    moved = run_kms("keys", "alias", alias, new, "--json")
    assert moved.json == {"uri": alias, "target": new, "previous": old}
    said = json.loads(moved.err)["info"]["message"]
    assert said.startswith(f"moved alias/moves from {old} to {new}; put {old} into `previous`")

    again = run_kms("keys", "alias", alias, new)
    assert again.err == f"alias/moves names {new} already\n"


def test_a_listing_counts_what_it_does_not_show(run_kms: RunKms, kms_over_http: KmsEmulator) -> None:
    """Usable keys with their aliases on standard output, the others as a number and a reason on standard error."""
    region = "ap-south-2"
    client = kms_over_http.client(region_name=region)
    usable, disabled = (client.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    client.create_alias(AliasName="alias/listed", TargetKeyId=usable)
    client.disable_key(KeyId=disabled)
    ran = run_kms("keys", "list", f"awskms:region={region}")
    assert [line.split() for line in ran.text.splitlines()] == [
        ["KIND", "KEY", "ID", "MODES", "ALIASES", "URI"],
        ["AES-256", usable, "-", "alias/listed", f"awskms:region={region};key-id={usable}"],
    ]
    assert ran.err == f"sealpass: warning: keys of {region} that are not shown: 1 Disabled\n"


def test_the_rotation_of_the_guide_runs(run: Run) -> None:
    """Each command of docs/awskms.md as it is printed, with the ids that the commands before it said."""
    section = GUIDE.partition("## Making and rotating keys\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^ *\$ sealpass ([^|<\n]*)", section, re.MULTILINE)
    assert len(lines) == 7
    ids: dict[str, str] = {}
    with KmsEmulator.over_http() as emulator:
        for line in lines:
            words = shlex.split(line)
            given = [functools.reduce(lambda word, name: word.replace(name, ids[name]), ids, word) for word in words]
            ran = run(*given, stdin="a.b.c.d.e", **emulator.environment)
            assert ran.status == (1 if words[0] == "unwrap" else 0), (line, ran.err)
            if words[:2] == ["keys", "create"] and "alias" not in words[2]:
                ids["NEW-KEY-ID"] = ran.text.rpartition("=")[2]
            if words[0] == "doctor":
                (ids["OLD-KEY-ID"],) = re.findall(r"^.*KMS key id +(\S+)", ran.text, re.MULTILINE)
            if words[:2] == ["keys", "alias"]:
                old = f"awskms:key-id={ids['OLD-KEY-ID']};region=eu-central-1"
                assert f"moved alias/e2ee from {old} to " in ran.err
                assert f'previous=["{old.replace(ids["OLD-KEY-ID"], "OLD-KEY-ID")}"]' in GUIDE


# -- tools/kms-emulator -------------------------------------------------------------------------------------------


def test_the_emulator_prints_lines_for_a_shell(run: Run, tmp_path: Path) -> None:
    """A shell that reads them reaches it, whatever stands in the user's files; Ctrl-C ends it without a traceback."""
    with subprocess.Popen(
        [sys.executable, TOOL, "--export"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as emulator:
        try:
            assert emulator.stdout is not None
            lines: list[str] = []
            while not lines or "AWS_ENDPOINT_URL_KMS" not in lines[-1]:  # the last one
                lines.append(emulator.stdout.readline())
                assert lines[-1].startswith("export "), lines
            shell = shutil.which("sh")
            assert shell is not None
            script = "".join(lines) + f"'{sys.executable}' -c 'import json, os; print(json.dumps(dict(os.environ)))'"
            read = subprocess.run([shell, "-c", script], capture_output=True, check=True, env={})
            environment = {name: value for name, value in json.loads(read.stdout).items() if name.startswith("AWS_")}
            ran = run("keys", "create", "awskms:key-id=alias/tried", "--aes", "256", **environment)
            assert (ran.status, ran.text) == (0, "awskms:key-id=alias/tried")
            emulator.send_signal(signal.SIGINT)
            emulator.wait(timeout=20)  # with its standard input open, whose end would be a reason to end with 0
            assert emulator.stderr is not None
            complaint = emulator.stderr.read()
        finally:
            emulator.kill()
    assert (emulator.returncode, complaint) == (130, "")


def test_the_emulator_without_boto3_says_what_to_do(tmp_path: Path) -> None:
    """Another interpreter than the project's: one line, no traceback, status 1."""
    (tmp_path / "boto3.py").write_text("raise ModuleNotFoundError(\"No module named 'boto3'\", name='boto3')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, TOOL], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert "has no module 'boto3'" in line
    assert "make set-up" in line
