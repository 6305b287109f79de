# SPDX-License-Identifier: Apache-2.0
"""Finding a soft token's module, or the command that installs it."""

from pathlib import Path

import pytest

from sealpass.core.errors import ConfigError
from sealpass.softhsm.modules import SOFTHSM2, find_module


def plant(root: Path, *names: str) -> None:
    """Empty files under a root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    "place",
    [
        "usr/lib/softhsm/libsofthsm2.so",
        "usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "usr/lib64/pkcs11/libsofthsm2.so",
        "opt/homebrew/lib/softhsm/libsofthsm2.so",
    ],
    ids=["debian and alpine", "multiarch", "fedora", "homebrew"],
)
def test_the_module_is_found_where_distributions_put_it(tmp_path: Path, place: str) -> None:
    """Each distribution's place is looked at."""
    plant(tmp_path, place)
    assert find_module(SOFTHSM2, root=tmp_path) == tmp_path / place


@pytest.mark.parametrize(
    ("installer", "command"),
    [
        ("usr/bin/apt-get", "sudo apt-get install softhsm2"),
        ("usr/bin/dnf", "sudo dnf install softhsm"),
        ("sbin/apk", "sudo apk add softhsm"),
        ("opt/homebrew/bin/brew", "brew install softhsm"),
    ],
)
def test_a_missing_module_names_the_command_of_this_machine(tmp_path: Path, installer: str, command: str) -> None:
    """Where the module is missing the hint is the command of the installer that is there."""
    plant(tmp_path, installer)
    with pytest.raises(ConfigError) as caught:
        find_module(SOFTHSM2, root=tmp_path)
    assert caught.value.hint == command


def test_without_a_known_installer_all_commands_are_named(tmp_path: Path) -> None:
    """On an unknown system the hint lists the commands that are known."""
    with pytest.raises(ConfigError) as caught:
        find_module(SOFTHSM2, root=tmp_path)
    assert caught.value.hint.count(" or ") == 3


def test_the_variable_wins_and_must_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOFTHSM2_MODULE goes before every usual place; a wrong value is an error, not a fallback."""
    plant(tmp_path, "usr/lib/softhsm/libsofthsm2.so", "own.so")
    monkeypatch.setenv("SOFTHSM2_MODULE", str(tmp_path / "own.so"))
    assert find_module(SOFTHSM2, root=tmp_path) == tmp_path / "own.so"
    monkeypatch.setenv("SOFTHSM2_MODULE", str(tmp_path / "missing.so"))
    with pytest.raises(ConfigError, match="SOFTHSM2_MODULE"):
        find_module(SOFTHSM2, root=tmp_path)
