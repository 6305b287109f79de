# SPDX-License-Identifier: Apache-2.0
"""The import contracts in pyproject.toml are only worth something if they catch what they forbid."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = "each layer imports only from the ones below it"
CORE = "core needs cryptography, argon2 and jwcrypto, and nothing else"
FAMILIES = "device families do not know each other"
VIOLATIONS = [
    (LAYERS, "core/errors.py", "import sealpass.backends.registry"),
    (LAYERS, "backends/registry.py", "import sealpass.softhsm"),
    (LAYERS, "softhsm/__init__.py", "import sealpass.bench"),
    (LAYERS, "bench/__init__.py", "import sealpass.cli"),
    (LAYERS, "bench/__init__.py", "import sealpass.service"),
    (LAYERS, "service/__init__.py", "import sealpass.bench"),
    (CORE, "core/errors.py", "import pkcs11"),
    (CORE, "core/errors.py", "import click"),
    (FAMILIES, "backends/software.py", "import sealpass.backends.pkcs11"),
    (FAMILIES, "backends/pkcs11/__init__.py", "import sealpass.backends.software"),
    (FAMILIES, "backends/awskms/client.py", "import sealpass.backends.software"),
    (FAMILIES, "backends/keystore/__init__.py", "import sealpass.backends.software"),
]


CORE_PACKAGES = {"argon2", "cryptography", "jwcrypto"}


def foreign_imports(source: str) -> Iterator[str]:
    """The modules that a module of core imports, at any depth, and should not: a white list forgets no package."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0, names=names):
                modules = [f"sealpass.{alias.name}" for alias in names] if module == "sealpass" else [module]
            case ast.ImportFrom():
                modules = ["a relative import"]
            case _:
                continue
        for module in modules:
            top = module.partition(".")[0]
            if not (f"{module}.".startswith("sealpass.core.") or top in CORE_PACKAGES | sys.stdlib_module_names):
                yield module


@pytest.mark.parametrize("module", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_imports_only_what_it_may(module: Path) -> None:
    """The standard library, core itself, cryptography, argon2 and jwcrypto."""
    assert list(foreign_imports(module.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "import requests",
        "import os, requests.sessions",
        "from requests import get",
        "def f():\n    import requests",
        "import sealpass",
        "from sealpass import backends",
        "from sealpass.corelike import x",
        "from . import errors",
    ],
)
def test_a_foreign_import_is_seen(line: str) -> None:
    """Any package, in any form of the statement, also inside a function."""
    assert len(list(foreign_imports(line))) == 1


@pytest.mark.parametrize(
    "line",
    ["import json, jwcrypto.jwk", "from sealpass.core import jwe", "from argon2 import Type", "import sealpass.core"],
)
def test_an_allowed_import_is_let_through(line: str) -> None:
    """What core needs is not complained about."""
    assert list(foreign_imports(line)) == []


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, contract: str, file: str, line: str) -> None:
    """One import line that goes against the layers makes lint-imports fail and name the contract."""
    package = tmp_path / "sealpass"
    shutil.copytree(ROOT / "src" / "sealpass", package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / file).open("a") as source:
        source.write(f"\n{line}\n")
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "120"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout
