# SPDX-License-Identifier: Apache-2.0
"""A private SoftHSM2 token: made once, found again, nobody else's store touched."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri
from sealpass.softhsm.provisioning import Provisioned, default_directory, provision


def run_in(provisioned: Provisioned, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The sealpass command with the token's environment."""
    return subprocess.run(
        [sys.executable, "-m", "sealpass", *arguments],
        env={**os.environ, **provisioned.config},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_token_is_made_once_and_found_again(tmp_path: Path) -> None:
    """The second run finds what the first one made, PINs included."""
    first = provision("softhsm2", tmp_path / "store")
    pins = [(tmp_path / "store" / name).read_text() for name in ("pin", "so-pin")]
    second = provision("softhsm2", tmp_path / "store")
    assert (first.created, second.created) == (True, False)
    assert (first.uri, first.config) == (second.uri, second.config)
    assert pins == [(tmp_path / "store" / name).read_text() for name in ("pin", "so-pin")]


def test_two_tokens_live_in_one_store(tmp_path: Path) -> None:
    """A second label in the same directory is a second token; both stay."""
    uris = {provision("softhsm2", tmp_path, label).uri for label in ("one", "two")}
    assert len(uris) == 2
    assert not provision("softhsm2", tmp_path, "one").created


def test_the_store_is_private(tmp_path: Path) -> None:
    """Directory and PIN files can be read by their owner only; the PINs are random and not in the URI."""
    store = tmp_path / "store"
    provisioned = provision("softhsm2", store)
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    pins = set()
    for name in ("pin", "so-pin"):
        assert stat.S_IMODE((store / name).stat().st_mode) == 0o600
        pins.add((store / name).read_text().strip())
    assert len(pins) == 2
    assert not any(pin in provisioned.uri for pin in pins)


def test_a_system_wide_store_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever SOFTHSM2_CONF says, the token goes into its own directory."""
    system = tmp_path / "system"
    (system / "tokens").mkdir(parents=True)
    config = system / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {system / 'tokens'}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    provisioned = provision("softhsm2", tmp_path / "own")
    assert list((system / "tokens").iterdir()) == []
    assert provisioned.config["SOFTHSM2_CONF"] == str(tmp_path / "own" / "softhsm2.conf")


def test_an_interrupted_run_is_finished_by_the_next(tmp_path: Path) -> None:
    """A token without its user PIN, as a killed run leaves it, gets one."""
    first = provision("softhsm2", tmp_path)
    script = (
        "import sys\n"
        "from sealpass.backends.pkcs11.library import load_module\n"
        "module = load_module(sys.argv[1])\n"
        "slot = next(s for s in module.library.get_slots() if s.get_token().label == 'sealpass')\n"
        "pin = sys.stdin.read().encode()\n"
        "sys.exit(module.functions.init_token(slot.slot_id, pin, len(pin), b'sealpass'.ljust(32)))\n"
    )
    module = KeyUri.parse(first.uri).require("module-path")
    so_pin = (tmp_path / "so-pin").read_text().strip()
    # C_InitToken on a token that exists wipes it and leaves it without a user PIN.
    subprocess.run(
        [sys.executable, "-c", script, module], input=so_pin, text=True, check=True, env={**os.environ, **first.config}
    )
    assert run_in(first, "keys", "list", first.uri).returncode == 3
    assert provision("softhsm2", tmp_path).created
    assert run_in(first, "keys", "list", first.uri).returncode == 0


def test_nothing_is_imported_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pkcs11.py that somebody left where the command is run does not get to the PINs."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "pkcs11.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(here)
    assert provision("softhsm2", tmp_path / "store").created
    assert not (tmp_path / "ran").exists()


def _interrupt(*_arguments: object) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["secrets.choice", "os.fsync", "pathlib.Path.replace"])
def test_an_interrupt_leaves_no_empty_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Wherever the drawing of a PIN is interrupted, the next run begins anew and is not stopped by half a file."""
    with monkeypatch.context() as patched:
        patched.setattr(where, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            provision("softhsm2", tmp_path)
    assert not (tmp_path / "pin").exists()
    assert provision("softhsm2", tmp_path).created


def test_an_empty_pin_file_is_neither_used_nor_replaced(tmp_path: Path) -> None:
    """There may be a token whose PIN somebody lost: another PIN would only lock it."""
    (tmp_path / "pin").touch()
    with pytest.raises(ConfigError, match="pin is empty") as caught:
        provision("softhsm2", tmp_path)
    assert "remove" in caught.value.hint
    assert (tmp_path / "pin").read_bytes() == b""


def test_two_at_a_time_make_one_token(tmp_path: Path) -> None:
    """Provisioning the same directory from two threads at once makes the token once."""
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: provision("softhsm2", tmp_path), range(2)))
    assert sorted(item.created for item in made) == [False, True]
    assert made[0].uri == made[1].uri


def test_a_directory_with_strange_characters_works(tmp_path: Path) -> None:
    """Spaces, umlauts, '?' and '&' in the path survive the way through the URI."""
    provisioned = provision("softhsm2", tmp_path / "a b ü ?&;%")
    assert run_in(provisioned, "keys", "list", provisioned.uri).returncode == 0


@pytest.mark.parametrize("name", ["a=b", "a#b", "a\nb"])
def test_a_directory_that_the_configuration_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    """SoftHSM2's configuration knows no quoting; such a directory is refused before anything is written."""
    with pytest.raises(ConfigError, match="directory"):
        provision("softhsm2", tmp_path / name)


@pytest.mark.parametrize("label", ["", "x" * 33, "ü" * 17], ids=["empty", "33 letters", "34 bytes"])
def test_a_label_that_does_not_fit_is_refused(tmp_path: Path, label: str) -> None:
    """CK_TOKEN_INFO has room for 32 bytes; a longer label would be cut and never found."""
    with pytest.raises(ConfigError, match="32 bytes"):
        provision("softhsm2", tmp_path, label)


@pytest.mark.parametrize("label", [" a", "a ", " "])
def test_a_label_with_blanks_around_it_is_refused(tmp_path: Path, label: str) -> None:
    """PKCS#11 pads labels with blanks, so the token would never be found under this one."""
    with pytest.raises(ConfigError, match="blank"):
        provision("softhsm2", tmp_path, label)
    assert not (tmp_path / "pin").exists()


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path) -> None:
    """A kind that does not exist is a ConfigError that lists those that do."""
    with pytest.raises(ConfigError) as caught:
        provision("luna", tmp_path)
    assert "softhsm2" in caught.value.hint


def test_an_unusable_directory_is_a_config_error(tmp_path: Path) -> None:
    """A file where the directory should be is a ConfigError, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError):
        provision("softhsm2", tmp_path / "file")


def test_the_default_directory_follows_the_xdg_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_DATA_HOME decides where tokens live by default."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_directory("softhsm2") == tmp_path / "sealpass" / "softhsm2"
