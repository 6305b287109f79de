# SPDX-License-Identifier: Apache-2.0
"""README's table of devices is the shipped matrix. ``python -m tests.unit.test_readme_matrix`` writes it."""

import re
import sys
from pathlib import Path

from sealpass.backends.matrix import ROWS

README = Path(__file__).parents[2] / "README.md"
_PLACE = re.compile(r"(?<=-->\n).*?(?=<!-- /matrix -->)", re.DOTALL)


def table() -> str:
    """The matrix as Markdown."""
    lines = ["| device | mode | unwraps | content encryption | seals | note |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        names = [", ".join(names) or "-" for names in (row.unwrap, row.content, row.seal)]
        lines.append(f"| {' | '.join((row.device, row.mode or '-', *names, row.note))} |")
    return "\n".join(lines) + "\n"


def test_the_readme_shows_the_shipped_matrix() -> None:
    """The table between the marks is the one that the matrix makes."""
    found = _PLACE.search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == table()


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(_PLACE.sub(lambda _: table(), text, count=1), encoding="utf-8")
    sys.stdout.write(table())
