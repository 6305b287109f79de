# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("core", "backends", "bench", "softhsm")
PROJECT_FILES = ("pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "Makefile")
SDIST = "import setuptools.build_meta, sys; setuptools.build_meta.build_sdist(sys.argv[1])"


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that comes of the sdist, both built from a copy of the tree, without the network."""
    tree = tmp_path_factory.mktemp("tree")
    out = tmp_path_factory.mktemp("out")
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, tree)
    for name in (*LINKED, "src"):
        if (ROOT / name).is_dir():  # an unpacked sdist has the linked folders in src only
            skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=skip)
    subprocess.run([sys.executable, "-c", SDIST, str(out)], cwd=tree, check=True, capture_output=True)
    (sdist,) = out.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(out), str(sdist)], check=True, capture_output=True)
    (built_wheel,) = out.glob("*.whl")
    return built_wheel


@pytest.mark.parametrize("name", LINKED)
def test_the_links_lead_to_the_top_level_folders(name: str) -> None:
    """Each top-level folder is part of the package through a relative link, so that a clone works anywhere."""
    link = ROOT / "src" / "sealpass" / name
    if not (ROOT / name).exists():
        pytest.skip("an unpacked sdist holds files where the repository holds links")
    assert link.readlink() == Path("../..") / name


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package, data files included, reaches a user; tests and tools do not."""
    package = ROOT / "src" / "sealpass"
    folders = [package, *(package / name for name in LINKED)]  # rglob does not follow links
    expected = {
        Path("sealpass") / path.relative_to(package)
        for folder in folders
        for path in folder.rglob("*")
        if _is_source(path)
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name) for name in archive.namelist()}
    assert {name for name in names if ".dist-info" not in name.parts[0]} == expected


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Version, licence, command and pytest plugin of the wheel are those of the source."""
    from sealpass import __version__

    with zipfile.ZipFile(wheel) as archive:
        info = f"sealpass-{__version__}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert f"\nVersion: {__version__}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    command = ["[console_scripts]", "sealpass", "=", "sealpass.__main__:main"]
    assert entry_points.split() == [*command, "[pytest11]", "sealpass", "=", "sealpass.bench.pytest_plugin"]


def test_importing_sealpass_loads_nothing_heavy() -> None:
    """``import sealpass`` loads no cryptography, no device SDK and no command-line code."""
    code = "import sealpass, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"cryptography", "argon2", "jwcrypto", "pkcs11", "boto3", "jks", "click", "rich", "hdrh", "sqlalchemy"}
    assert not heavy & set(loaded)
