# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check-readme"


def _check(document: Path, text: str, *options: str) -> tuple[int, str]:
    document.write_text(text, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(TOOL), *options, str(document)], check=False, capture_output=True, text=True
    )
    assert result.stderr == ""
    return result.returncode, result.stdout.replace(f"{document}:", "")


def _console(*lines: str) -> str:
    return "\n".join(["text", "", "```console", *lines, "```", ""])


def _live_help(*command: str) -> list[str]:
    environment = os.environ | {"COLUMNS": "80"}
    help_command = [sys.executable, "-m", "sealpass", *command, "--help"]
    return subprocess.run(help_command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "$ sealpass encrypt KEY --profile jwe --nonce=abc < password | sealpass unwrap KEY --profile jwe",
        "$ SEALPASS_PROFILE=jwe sealpass --debug encrypt KEY # a comment",
        "$ make run && make test TESTS=unit",
        "$ git clone …; any-other-program --whatever",
        "$ sealpass encrypt \\\n    KEY --profile jwe",
        "sealpass what-a-command-printed --is-not-checked",
    ],
)
def test_commands_that_exist_pass(tmp_path: Path, line: str) -> None:
    """A line of existing commands, options and targets is in step, however the shell joins them."""
    assert _check(tmp_path / "page.md", _console(line)) == (0, "")


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("$ sealpass encipher KEY", "4: 'sealpass' has no command 'encipher'\n"),
        ("$ sealpass encrypt KEY --loud", "4: 'sealpass encrypt' has no option --loud\n"),
        ("$ sealpass encrypt --profile --loud KEY", ""),
        ("$ echo secret | sealpass encrypt KEY -x", "4: 'sealpass encrypt' has no option -x\n"),
        ("$ uri=$(sealpass sofhtsm init)", "4: 'sealpass' has no command 'sofhtsm'\n"),
        ("$ sealpass softhsm", "4: 'sealpass softhsm' alone is no command\n"),
        ("$ sealpass encrypt \\\n    KEY --loud", "4: 'sealpass encrypt' has no option --loud\n"),
        ("$ sealpass encrypt 'KEY", "4: no shell would take this line: No closing quotation\n"),
        ("$ make everything", "4: the Makefile has no target 'everything'\n"),
    ],
)
def test_what_does_not_exist_is_found(tmp_path: Path, line: str, finding: str) -> None:
    """A command, option or target that does not exist is named, with its line; an option's value is no option."""
    assert _check(tmp_path / "page.md", _console(line)) == (int(bool(finding)), finding)


def test_help_that_is_not_the_live_help_is_found_and_corrected(tmp_path: Path) -> None:
    """Help in a document equals the live help, or is reported, and ``--write`` corrects it and nothing else."""
    page = tmp_path / "page.md"
    before, after = ["$ sealpass encrypt --help"], ["$ echo done", "done"]
    stale = _console(*before, "Usage: sealpass encrypt OLD", *after)
    live = _console(*before, *_live_help("encrypt"), *after)

    assert _check(page, live) == (0, "")
    assert _check(page, stale) == (
        1,
        "4: this is not what 'sealpass encrypt --help' prints (--write corrects it)\n",
    )
    assert _check(page, stale, "--write") == (0, "")
    assert page.read_text(encoding="utf-8") == live


@pytest.mark.parametrize(
    ("line", "dead"),
    [
        ("[there](there.md), [part](there.md#part), [above](#part) and [folder](.)", ""),
        ("[web](https://example.org/none), [mail](mailto:a@example.org)", ""),
        ("[one](there.md) and [gone](gone.md#part)", "gone.md"),
        ('![image](../gone.png "title")', "../gone.png"),
        ("```text\n[code](gone.md)\n```", ""),
    ],
)
def test_a_relative_link_that_leads_nowhere_is_found(tmp_path: Path, line: str, dead: str) -> None:
    """Links to files are relative to the document's folder; other links and code are left alone."""
    (tmp_path / "there.md").write_text("")
    finding = f"3: the link to {dead} leads nowhere\n" if dead else ""
    assert _check(tmp_path / "page.md", f"# Page\n\n{line}\n") == (int(bool(dead)), finding)


def test_what_the_readme_writes_is_ignored() -> None:
    """Whoever follows README.md in a checkout leaves nothing for git to show."""
    shown = (TOOL.parents[1] / "README.md").read_text(encoding="utf-8")
    written = re.findall(r"^\$ .* > (\S+)$", shown, re.MULTILINE)
    assert written
    ignored = (TOOL.parents[1] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {f"/{name}" for name in written} <= set(ignored)


def test_the_readme_shows_a_command_early(tmp_path: Path) -> None:
    """README.md without a sealpass command in its first 40 lines is out of step."""
    command = _console("$ sealpass backends")
    assert _check(tmp_path / "README.md", command)[0] == 0
    assert _check(tmp_path / "README.md", "\n" * 40 + command) == (
        1,
        "0: no '$ sealpass …' line in the first 40 lines\n",
    )
