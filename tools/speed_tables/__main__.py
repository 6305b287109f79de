# SPDX-License-Identifier: Apache-2.0
"""Measure sealpass beside the bare calls and beside its peers, on the same keys and tokens; print Markdown tables.

Usage: python -m tools.speed_tables [--quick] [--write] [PART...]     --write puts the tables into docs/performance.md
State lives in .state/bench. Absolute times mean little; the ratios are what is published.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tools.speed_tables.distributed import rotation_on_workers
from tools.speed_tables.harness import harness
from tools.speed_tables.kms import keys_in_kms
from tools.speed_tables.memory import keys_in_stores, tokens_in_software
from tools.speed_tables.records import stored_records
from tools.speed_tables.rotation import rotations
from tools.speed_tables.tokens import tokens_in_devices
from tools.speed_tables.workload import ROOT, STATE

PAGE = ROOT / "docs" / "performance.md"


def start_up(repeats: int) -> str:
    """Whole processes: importing, and the first help."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import sealpass'": ["-c", "import sealpass"],
        "sealpass --help": ["-m", "sealpass", "--help"],
        "sealpass backends": ["-m", "sealpass", "backends"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, arguments in commands.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 - our own command
            taken[name].append(1000 * (time.perf_counter() - begin))
    lines = ["**Starting**", "", "| command | median ms |", "|---|---|"]
    lines += [f"| `{name}` | {statistics.median(times):.0f} |" for name, times in taken.items()]
    return "\n".join(lines) + "\n"


PARTS: dict[str, Callable[[int, int], Iterator[str]]] = {
    "software": tokens_in_software,
    "pkcs11": tokens_in_devices,
    "keystore": keys_in_stores,
    "awskms": keys_in_kms,
    "records": stored_records,
    "rotation": rotations,
    "distributed": rotation_on_workers,
    "harness": harness,
    "start": lambda _rounds, _block: iter([start_up(15)]),
}


def main() -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Measure sealpass beside the bare calls and beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(PARTS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if arguments.write and arguments.parts:
        parser.error("--write wants all parts: the page has the tables of one run")
    rounds, block = (12, 20) if arguments.quick else (120, 20)
    STATE.mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    for name, part in PARTS.items():
        if arguments.parts and name not in arguments.parts:
            continue
        for text in part(rounds, block):
            print(text, flush=True)
            made.append(text)
    if arguments.write:
        machine = (
            f"Measured with Python {platform.python_version()} on {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f} at the end.\n"
        )
        tables = "\n".join([machine, *made])
        page = PAGE.read_text(encoding="utf-8")
        page = re.sub(r"(?<=<!-- tables -->\n).*?(?=<!-- /tables -->)", lambda _: tables, page, flags=re.DOTALL)
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
