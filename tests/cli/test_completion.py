# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, environment


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_its_shell(run: Run, shell: str) -> None:
    """Each shell gets its own script, which asks sealpass in that shell's dialect."""
    ran = run("completion", shell)
    assert (ran.status, ran.err) == (0, "")
    assert f"_SEALPASS_COMPLETE={shell}_complete" in ran.text
    assert run("completion", shell, "--json").json["script"].rstrip("\n") == ran.text


def test_another_shell_is_refused(run: Run) -> None:
    """An unknown shell is a usage error that lists the known ones."""
    ran = run("completion", "csh")
    assert (ran.status, ran.out) == (2, b"")
    assert "bash" in ran.err


def complete(run: Run, *words: str) -> list[str]:
    """What bash would offer for the last word."""
    ran = run(
        _SEALPASS_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(("sealpass", *words)),
        COMP_CWORD=str(len(words)),
    )
    assert (ran.status, ran.err) == (0, "")
    return [line.partition(",")[2] for line in ran.text.splitlines()]


def test_commands_options_and_values_are_completed(run: Run) -> None:
    """Command names at two levels, option names, and the values of an option."""
    assert complete(run, "en") == ["encrypt"]
    assert complete(run, "--de") == ["--debug"]
    assert complete(run, "keys", "cr") == ["create"]
    assert "--previous" in complete(run, "unwrap", "--p")
    assert complete(run, "unwrap", "--profile", "air") == ["airlock-jwe", "airlock-kms"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_takes_the_script(run: Run, tmp_path: Path) -> None:
    """Bash reads the script without a complaint and offers what the command says."""
    (tmp_path / "script").write_bytes(run("completion", "bash").out)
    (tmp_path / "sealpass").write_text(f'#!/bin/sh\nexec {sys.executable} -m sealpass "$@"\n')
    (tmp_path / "sealpass").chmod(0o755)
    script = "source ./script; COMP_WORDS=(sealpass unw); COMP_CWORD=1; _sealpass_completion sealpass"
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}; echo ${{COMPREPLY[@]}}"],  # noqa: S607 - any bash
        cwd=tmp_path,
        env=environment() | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("unwrap\n", "")
