# SPDX-License-Identifier: Apache-2.0
"""``bench run`` with ``--find-max``, ``--usl`` and ``--distributed``: options, words and exit statuses."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sealpass.bench.load.scaling import check_axes, scaling
from sealpass.bench.load.scenario import Settings
from sealpass.cli.bench_run import status_of
from sealpass.cli.load_options import conclusions, misses_objective
from sealpass.cli.root import root
from sealpass.core.errors import ConfigError
from tests.bench.load.conftest import Validate

SHORT = ["--warm-up", "0.1", "--seconds", "0.05"]


def bench_run(*arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(root, ["bench", "run", *arguments], prog_name="sealpass")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--find-max"],
        ["--slo", "p99=20ms"],
        ["--hold", "3"],
        ["--find-max", "--slo", "p99=20ms", "--rate", "5"],
        ["--find-max", "--slo", "p99=20ms", "--usl"],
        ["--find-max", "--slo", "p99=20ms", "--distributed", "tls://h:1"],
        ["--find-max", "--slo", "p99=20ms", "--allow-errors", "1%"],
        ["--usl", "--rate", "5"],
        ["--tls-ca", "ca.pem"],
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    """Before a key is opened: this one does not exist."""
    result = bench_run("software:path=none.pem", *arguments)
    assert result.exit_code == 2
    assert "go together" in result.output or "goes neither" in result.output or "--rate gives one" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--threads 1, --sessions 0, --processes 1"),
        (["--threads", "1,2,3,4,5"], "give --threads 6 numbers"),
        (["--processes", "1,2,3", "--threads", "2,4"], "give --processes 6 numbers"),
        (["--sessions", "1,2,3,4,5,6"], "only PKCS#11 keys have sessions"),
        (["--distributed", "tls://127.0.0.1:9", "--threads", "1,2"], "give --threads 6 numbers"),
    ],
)
def test_a_law_that_has_too_few_numbers_is_refused(arguments: list[str], words: str) -> None:
    """Before a key is opened, or a scheduler is asked: neither exists."""
    error = bench_run("software:path=none.pem", "--usl", *arguments).exception
    assert isinstance(error, ConfigError)
    assert "--usl needs 6 different numbers on one axis" in str(error)
    assert words in f"{error}; {error.hint}"


def test_one_axis_with_enough_numbers_is_enough() -> None:
    """Of threads, or of the sessions of a PKCS#11 key; the other axes may have fewer."""
    many = (1, 2, 3, 4, 5, 6)
    check_axes(Settings(keys=("software:path=k",), threads=many, processes=(1, 2)))
    check_axes(Settings(keys=("software:path=k", "pkcs11:token=t;object=o"), sessions=many))


def test_the_law_is_said_in_words(measured: dict[str, Any], valid: Validate) -> None:
    """Two numbers are too few: the points are there, and why there is no law."""
    document = valid(measured | {"scaling": scaling(measured["measurements"])})
    (entry,) = document["scaling"]
    assert (entry["axis"], entry["usl"], len(entry["points"])) == ("threads", None, 2)
    said = list(conclusions(document))
    assert said[0].startswith("unwrap over threads: of the numbers measured")
    assert "too few points" in said[0]


def test_the_law_of_a_run_is_in_its_document(aes_uri: str, valid: Validate) -> None:
    """With the points of six numbers."""
    result = bench_run(aes_uri, "--warm-up", "0", "--seconds", "0.02", "--threads", "1,2,3,4,5,6", "--usl", "--json")
    document = valid(json.loads(result.stdout))
    (entry,) = document["scaling"]
    assert [point["n"] for point in entry["points"]] == [1, 2, 3, 4, 5, 6]
    assert scaling(document["measurements"]) == document["scaling"]


def test_a_rate_that_nothing_holds_is_a_failure(software_uri: str) -> None:
    """The exit status is 1, and the reason is said."""
    result = bench_run(software_uri, *SHORT, "--find-max", "--slo", "p50=1us", "--hold", "0.02")
    assert result.exit_code == 1
    assert "no rate held the objective" in result.stdout


def objective(rate: float | None, *, lasted: bool | None = None, errors: int = 0) -> dict[str, Any]:
    """As much of a document as is looked at."""
    trial = {"lasted": lasted, "held": rate is not None, "rate_per_s": rate, "seconds": 30.0}
    trial |= {"operations": 600 - errors, "errors": errors}
    reason = None if rate else "no rate held the objective: p99 was 30 ms"
    one = {"operation": "unwrap", "slo": "p99=20ms errors=0", "max_rate_per_s": rate, "held_for_s": 30.0}
    return {"objectives": [one | {"tried": [trial], "reason": reason}], "scaling": [], "measurements": []}


def test_what_came_of_a_search_is_said() -> None:
    """A rate and how long it held, or why there is none; only what was looked for to the end is a failure."""
    held = "unwrap: 1234/s held p99=20ms errors=0 for 30 s"
    assert list(conclusions(objective(1234.5))) == [
        f"{held}; none of 600 operations failed, so fewer than 0.5 % do (95 % confidence)"
    ]
    assert list(conclusions(objective(1234.5, errors=6))) == [f"{held}; 6 of 600 operations failed"]
    assert list(conclusions(objective(None, lasted=True))) == ["unwrap: no rate held the objective: p99 was 30 ms"]
    assert not misses_objective(objective(1234.5))
    assert misses_objective(objective(None, lasted=True))
    assert not misses_objective(objective(None))
    assert status_of(objective(None, lasted=True) | {"status": "interrupted"}) == 130


def test_how_late_the_starts_were_is_said() -> None:
    """Of the rate that held; a percentile that does not exist is left out."""
    late = {"latency": {"p50_ns": 60_000, "p99_ns": None, "max_ns": 2_200_000}}
    measurements = [{"operation": "unwrap", "start_delay": late}, {"operation": "oaep", "start_delay": None}]
    said = list(conclusions(objective(1234.5) | {"measurements": measurements}))
    assert said[1:] == ["unwrap: its starts were late by 0.06 ms (p50), 2.2 ms (at most)"]


def test_how_well_workers_began_together_is_said() -> None:
    """With the error of their clocks, and who was lost."""
    workers = [{"reason": None}, {"reason": "worker 1 was lost"}]
    together = {"workers": workers, "start_spread_ns": 21_000_000, "start_error_ns": 4_500_000}
    document = {"objectives": [], "scaling": [], "measurements": [], "distributed": together}
    assert list(conclusions(document)) == [
        "2 workers began within 21 ms, their clocks known to 4 ms",
        "worker 1 was lost",
    ]
