# SPDX-License-Identifier: Apache-2.0
"""Report files are whole or not there."""

import os
from pathlib import Path

import pytest

from sealpass.bench.report import files
from sealpass.core.errors import ConfigError


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("pkcs11", "prod", "e2ee 2026", "sealpass"), "pkcs11-prod-e2ee-2026-sealpass"),
        (("software", "../../etc/passwd"), "software-etc-passwd"),
        (("pkcs11", "", "Schlüssel"), "pkcs11-Schl-ssel"),
        (("\0", "/"), "report"),
        (("x" * 300,), "x" * 100),
    ],
)
def test_a_file_name_is_harmless(parts: tuple[str, ...], expected: str) -> None:
    """Whatever a label holds, the name of its report has letters, digits and dashes only."""
    assert files.file_name(*parts) == expected


def test_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    """Both files are there with their texts, readable as the umask says, and no partial file is left."""
    (tmp_path / "a.json").write_text("old", encoding="utf-8")
    files.write_all({tmp_path / "a.json": "new ☃", tmp_path / "a.md": "text"})
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "a.json": "new ☃",
        "a.md": "text",
    }


def test_an_interrupt_leaves_the_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while the second file is written leaves the old first one, and no partial file."""
    (tmp_path / "a.json").write_text("old", encoding="utf-8")
    synced: list[int] = []

    def interrupt(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_all({tmp_path / "a.json": "new", tmp_path / "a.md": "text"})
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"a.json": "old"}


def test_a_directory_that_is_a_file_is_refused_early(tmp_path: Path) -> None:
    """A directory that cannot be made is an error of the configuration, before any work."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError):
        files.make_directory(tmp_path / "file")


def test_an_unwritable_file_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    """A directory that went away in the meantime gives one clear error."""
    path = tmp_path / "gone" / "a.json"
    with pytest.raises(ConfigError, match=f"cannot write {path}: ") as caught:
        files.write_all({path: "text"})
    assert "--out" not in caught.value.hint  # it may be any option's file, or a baseline


def test_a_link_stays_one(tmp_path: Path) -> None:
    """The text goes to the file that it leads to, as of every program that writes into a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.json").write_text("old", encoding="utf-8")
    (tmp_path / "link.json").symlink_to("real/a.json")
    files.write_all({tmp_path / "link.json": "new"})
    assert (tmp_path / "link.json").is_symlink()
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "real").iterdir()} == {"a.json": "new"}


@pytest.mark.parametrize("kind", ["pipe", "directory", "link"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """A device (/dev/null, /dev/stdout) would be one no more: refused early, and again on writing; nothing is left."""
    path = tmp_path / kind
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to("/dev/null")
    before = path.lstat()
    with pytest.raises(ConfigError, match=f"{path} is there, and is no file"):
        files.make_place(path)
    with pytest.raises(ConfigError, match=f"{path} is there, and is no file"):
        files.write_all({tmp_path / "first": "", path: "text"})
    assert list(tmp_path.iterdir()) == [path]
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_a_place_that_cannot_be_is_refused_before_any_work(tmp_path: Path) -> None:
    """A name that is too long, and what is no file; a link into nowhere gets its directory."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("a" * 300, "pipe"):
        with pytest.raises(ConfigError, match=name):
            files.make_place(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "none" / "file")
    files.make_place(tmp_path / "link")
    files.write_all({tmp_path / "link": "text"})
    assert (tmp_path / "none" / "file").read_text(encoding="utf-8") == "text"
