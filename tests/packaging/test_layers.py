# SPDX-License-Identifier: Apache-2.0
"""The import contracts in pyproject.toml are only worth something if they catch what they forbid."""

import os
import shutil
import subprocess
import sys
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
]


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
