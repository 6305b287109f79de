# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin with which a project's own tests use a key, and gate its speed: docs/gate.md.

pytest imports it wherever sealpass is installed, so that it imports nothing itself before a fixture is asked for.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealpass.core.errors import Error
    from sealpass.core.protocols import Key


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options; without --sealpass-uri what needs a key is skipped."""
    group = parser.getgroup("sealpass", "a key in an HSM, a KMS or a key store")
    group.addoption("--sealpass-uri", metavar="URI", help="the key; its PIN comes from the URI's pin-source")
    group.addoption("--sealpass-baseline", metavar="FILE", help="the baseline that sealpass_gate compares with")
    group.addoption("--sealpass-targets", metavar="FILE", help="absolute targets for sealpass_gate")
    group.addoption("--sealpass-reference", metavar="URI", help="a second key on the device, to measure in turn")


class GateResult:
    """What a gate found."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        """``sealpass.gate/1``."""

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` or ``inconclusive``."""
        return str(self.document["verdict"]["verdict"])

    def assert_passed(self, *, inconclusive: str = "skip") -> None:
        """Fail the test where the gate failed; where it was inconclusive, skip the test, or ``fail`` it too.

        A pass with a reservation (a baseline of another machine is not compared) is a warning.
        """
        __tracebackhide__ = True
        reasons = "; ".join(self.document["verdict"]["reasons"])
        if self.verdict == "inconclusive" and inconclusive == "skip":
            pytest.skip(f"the gate is inconclusive: {reasons}")
        if self.verdict != "pass":
            pytest.fail(f"the gate's verdict is {self.verdict}: {reasons}", pytrace=False)
        if reasons:
            warnings.warn(f"the gate passed with a reservation: {reasons}", stacklevel=2)


def _option(config: pytest.Config, name: str) -> str:
    value: str | None = config.getoption(name)
    if not value:
        pytest.skip(f"no {name} was given")
    return value


def _words(error: Error, more: str = "") -> str:
    """An error for operators as the commands show it: with the next step."""
    return f"[{error.code}] {error}{more}" + (f"\n  hint: {error.hint}" if error.hint else "")


def _failed(error: Error) -> BaseException:
    """An error for operators, as a failure in its own words and without a traceback."""
    failure: BaseException = pytest.fail.Exception(_words(error), pytrace=False)
    return failure


_REFUSED = pytest.StashKey[str]()
"""Words of a login that the device refused: it is not tried again in this session."""


@contextmanager
def _one_try(config: pytest.Config) -> Iterator[None]:
    """Turn errors for operators into failures; a login that was refused before fails without another try."""
    from sealpass.core.errors import AuthenticationFailed, Error

    refused = config.stash.get(_REFUSED, None)
    if refused is not None:
        pytest.fail(refused, pytrace=False)
    try:
        yield
    except Error as error:
        if isinstance(error, AuthenticationFailed):
            config.stash[_REFUSED] = _words(error, "; not tried again: the token could lock itself")
        raise _failed(error) from None


@pytest.fixture(scope="session")
def sealpass_device(request: pytest.FixtureRequest) -> Iterator[Key]:
    """The key of --sealpass-uri, open until the session ends.

    Several workers of pytest-xdist would each log in, and a wrong PIN that often locks a token: there it is skipped.
    """
    uri = _option(request.config, "--sealpass-uri")
    if getattr(request.config, "workerinput", {"workercount": 1})["workercount"] != 1:
        pytest.skip("each worker would log in, and a wrong PIN lock the token: run this one with at most -n 1")
    from sealpass import open_key

    with _one_try(request.config):
        key = open_key(uri)
    with key:
        yield key


@pytest.fixture(scope="session")
def sealpass_gate(request: pytest.FixtureRequest) -> GateResult:
    """The result of one speed gate on the key of --sealpass-uri, against --sealpass-baseline: takes 6 to 60 seconds."""
    config = request.config
    uri, baseline = _option(config, "--sealpass-uri"), _option(config, "--sealpass-baseline")
    if hasattr(config, "workerinput"):
        pytest.skip("speed is not measured beside other tests: run this one without pytest-xdist's -n")
    from pathlib import Path

    from sealpass.bench.gate import gate, targets
    from sealpass.bench.gate.spawn import Request

    wanted: str | None = config.getoption("--sealpass-targets")
    with _one_try(config):
        asked = gate.Asked(
            Request(uri, config.getoption("--sealpass-reference")),
            Path(baseline),
            targets=None if wanted is None else targets.load(Path(wanted)),
            targets_file=wanted,
        )
        return GateResult(gate.run(asked))
