# SPDX-License-Identifier: Apache-2.0
"""Finding a soft token's module, or the command that installs it."""

from pathlib import Path

import pytest

from sealpass.core.errors import ConfigError
from sealpass.softhsm.modules import OPENCRYPTOKI, P11_KIT_CLIENT, SOFTHSM2, SoftModule, find_module


def plant(root: Path, *names: str) -> None:
    """Empty files under a root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("module", "place"),
    [
        (SOFTHSM2, "usr/lib/softhsm/libsofthsm2.so"),
        (SOFTHSM2, "usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
        (SOFTHSM2, "usr/lib64/pkcs11/libsofthsm2.so"),
        (SOFTHSM2, "opt/homebrew/lib/softhsm/libsofthsm2.so"),
        (OPENCRYPTOKI, "usr/lib/s390x-linux-gnu/pkcs11/libopencryptoki.so"),
        (OPENCRYPTOKI, "usr/lib64/pkcs11/libopencryptoki.so"),
        (P11_KIT_CLIENT, "usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"),
        (P11_KIT_CLIENT, "usr/lib/pkcs11/p11-kit-client.so"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_module_is_found_where_distributions_put_it(tmp_path: Path, module: SoftModule, place: str) -> None:
    """Each distribution's place is looked at."""
    plant(tmp_path, place)
    assert find_module(module, root=tmp_path) == tmp_path / place


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


def test_an_installer_without_the_package_is_not_named(tmp_path: Path) -> None:
    """Where this machine's installer has no such package, those that have one are named."""
    plant(tmp_path, "sbin/apk")
    with pytest.raises(ConfigError) as caught:
        find_module(OPENCRYPTOKI, root=tmp_path)
    assert caught.value.hint.count(" or ") == 1
    assert "apk" not in caught.value.hint


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
