# SPDX-License-Identifier: Apache-2.0
"""Kill rotations with SIGKILL at random instructions while users log in and change passwords; count what was lost.

Usage: python -m tools.rotation_proof [--kills 150] [--seed N] [sqlite] [postgresql]
Each database takes less than a minute. Afterwards every user's newest password and history must verify, and one more
run must do exactly the rest. Exit: 0 nothing lost on any database; 1 something was, or a database could not be tried.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealpass.service import migrations
from sealpass.service.database import Database
from tests.service.rotation_kills import SUBJECTS, Findings, kill_rotations
from tests.support import postgresql

LEAST_KILLS = 50
DATABASES = ("sqlite", "postgresql")


@contextmanager
def empty_database(kind: str) -> Iterator[str]:
    """The URL of a database of its own, with the tables and no rows."""
    if kind == "postgresql":
        with postgresql.run_server() as server:
            yield server.clean_database()
        return
    with tempfile.TemporaryDirectory(prefix="sealpass-proof-") as folder:
        source = f"sqlite:///{Path(folder) / 'proof.db'}"
        with Database(source) as database:
            migrations.upgrade(database)
        yield source


class Line:
    """How far it is: one line that is written anew on a terminal, and a line now and then elsewhere."""

    def __init__(self, kind: str, kills: int) -> None:
        self._kind, self._kills = kind, kills
        self._next = 0.0

    def __call__(self, findings: Findings) -> None:
        """After each rotation."""
        text = f"{self._kind}: {findings.kills} of {self._kills} kills, {findings.ended} rotations ended before theirs"
        if sys.stderr.isatty():
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            print(text, file=sys.stderr, flush=True)
            self._next = time.monotonic() + 10

    def end(self) -> None:
        """Leave the line."""
        if sys.stderr.isatty():
            print(file=sys.stderr)


def prove(kind: str, kills: int, seed: int) -> bool:
    """Whether nothing was lost on this database; prints the counts."""
    line = Line(kind, kills)
    with empty_database(kind) as source:
        found = kill_rotations(source, kills, seed, line)
    line.end()
    print(
        f"{kind}: {found.kills} kills, {found.ended} rotations that ended before theirs, {found.logins} logins and"
        f" {found.changes} password changes of {SUBJECTS} users meanwhile; the last run moved the {found.rest} records"
        f" that were left; {found.records} records in the end, {len(found.losses)} losses (seed {seed})",
        flush=True,
    )
    for loss in found.losses:
        print(f"{kind}: LOST: {loss}", flush=True)
    return not found.losses and found.kills >= kills


def main() -> int:
    """Each database in turn."""
    parser = argparse.ArgumentParser(description="Kill rotations at random instructions, and look for losses.")
    parser.add_argument("--kills", type=int, default=150, help="for each database (150)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="to do the same again")
    parser.add_argument("databases", nargs="*", metavar="DATABASE", help="sqlite, postgresql or both (both)")
    arguments = parser.parse_args()
    kinds: list[str] = arguments.databases or list(DATABASES)
    if unknown := set(kinds) - set(DATABASES):
        parser.error(f"no such database: {', '.join(sorted(unknown))}")
    if arguments.kills < LEAST_KILLS:
        print(f"fewer than {LEAST_KILLS} kills are no proof", file=sys.stderr)
    print(f"seed {arguments.seed}", flush=True)
    proved = []
    for kind in kinds:
        if kind == "postgresql" and (obstacle := postgresql.obstacle()):
            print(f"{kind}: not tried: {obstacle}", flush=True)
            proved.append(False)
            continue
        proved.append(prove(kind, arguments.kills, arguments.seed))
    return 0 if all(proved) else 1


if __name__ == "__main__":
    sys.exit(main())
