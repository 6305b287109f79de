# SPDX-License-Identifier: Apache-2.0
"""Published test vectors: one scenario a file under tests/vectors/, with its source and what is expected of it."""

import json
from pathlib import Path
from typing import Any, TypeAlias

Vector: TypeAlias = dict[str, Any]
_ROOT = Path(__file__).parent.parent / "vectors"


def load(folder: str) -> dict[str, Vector]:
    """The vectors of one folder by file name; a folder without any is a mistake."""
    found = {path.stem: json.loads(path.read_bytes()) for path in sorted((_ROOT / folder).glob("*.json"))}
    assert found, f"no vectors in {folder}"
    return found
