# SPDX-License-Identifier: Apache-2.0
"""The qualification of one key: capabilities, attributes, contract cases, checks, speed, verdict."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sealpass.backends.registry import open_key
from sealpass.bench import distribution, fingerprint
from sealpass.bench.qualification import capability, checks, findings
from sealpass.bench.qualification.cases import all_cases
from sealpass.bench.qualification.checks import FloorReading
from sealpass.bench.qualification.device import Subject, module_facts
from sealpass.bench.qualification.document import Evidence, document
from sealpass.bench.qualification.measurement import FULL, QUICK, Plan, measure
from sealpass.bench.qualification.trial import CaseResult, Status, run_cases
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.contract import Profile, announced_algorithms
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.nonces import MemoryNonceStore, NonceStore
from sealpass.core.protocols import Unwrapper
from sealpass.core.uri import KeyUri


@dataclass(frozen=True, slots=True)
class Step:
    """Where a qualification is, for whoever shows progress."""

    stage: str
    done: int
    total: int


Progress = Callable[[Step], None]


def _silent(_step: Step) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """How to qualify."""

    quick: bool = False
    plan: Plan | None = None
    """How to measure speed; None = by ``quick``."""
    force_login: bool = False
    """See :class:`~sealpass.backends.registry.OpenOptions`."""
    nonces: Callable[[], NonceStore] = field(default=MemoryNonceStore)
    """Makes the nonce store that the cases use; give your own to qualify it along with the key."""

    @property
    def chosen_plan(self) -> Plan:
        """The plan that is in force."""
        return self.plan or (QUICK if self.quick else FULL)


def qualify(
    key: Unwrapper | KeyUri | str, profile: Profile, options: Options | None = None, progress: Progress = _silent
) -> dict[str, Any]:
    """Qualify a key under a profile; answers a ``sealpass.qualification/1`` document without secrets.

    An open key stays open; a URI is opened and closed again. Raises operator errors where the key cannot be opened or
    is no RSA key, and MissingDependency. What goes wrong later is in the document.
    """
    chosen = options or Options()
    distribution.require_histograms()
    if isinstance(key, KeyUri | str):
        progress(Step("opening the key", 0, 1))
        with open_key(key, force_login=chosen.force_login) as opened:
            if not isinstance(opened, Unwrapper):
                raise UnsupportedAlgorithm("this key does not unwrap", hint="name an RSA private key")
            return document(_collect(opened, profile, chosen, progress))
    return document(_collect(key, profile, chosen, progress))


def _collect(key: Unwrapper, profile: Profile, options: Options, progress: Progress) -> Evidence:
    began, started, load_before = time.monotonic(), datetime.now(UTC), fingerprint.load_average()
    progress(Step("capabilities", 0, 1))
    capabilities, honest = capability.try_everything(key)
    attributes, no_attributes = findings.read_attributes(key)
    subject, unsupported = _subject(key, profile, options)
    if key.capabilities.mode is UnwrapMode.IN_TOKEN and (attributes or {}).get("cek_length_checked") is not True:
        subject = replace(subject, may_take_any_cek_size=True)
    evidence = Evidence(
        subject=subject,
        quick=options.quick,
        plan=options.chosen_plan,
        unsupported=unsupported,
        started=started,
        host=fingerprint.host() | {"load_before": load_before},
        module=module_facts(key),
        capabilities=capabilities,
        attributes=attributes,
        no_attributes=no_attributes,
        findings=findings.judge_key(key, attributes),
        checks=[honest],
    )
    if unsupported is None:
        _try(evidence, progress)
    else:
        reason = "the key does not do the profile"
        evidence.cases = [CaseResult(case, Status.NOT_SUPPORTED, reason=reason) for case in all_cases(subject)]
    evidence.host["load_after"] = fingerprint.load_average()
    evidence.seconds = time.monotonic() - began
    return evidence


def _subject(key: Unwrapper, profile: Profile, options: Options) -> tuple[Subject, str | None]:
    """The key under the profile, and what the profile needs and the key lacks."""
    try:
        alg, enc = announced_algorithms(profile, key)
    except UnsupportedAlgorithm as error:
        hint = "" if error.hint == UnsupportedAlgorithm.hint else f"; {error.hint}"
        return Subject(key, profile, profile.algs[0], profile.encs[0]), f"{error}{hint}"
    return Subject(key, profile, alg, enc, options.nonces()), None


def _try(evidence: Evidence, progress: Progress) -> None:
    """Everything that needs the profile to be supported."""
    subject, floor = evidence.subject, evidence.subject.key.failure_floor
    cases = list(all_cases(subject))
    progress(Step("contract cases", 0, len(cases)))
    failures, overruns = floor.failures, floor.overruns
    results = run_cases(subject, cases, lambda done: progress(Step("contract cases", done, len(cases))))
    reading = FloorReading(floor.seconds, floor.failures - failures, floor.overruns - overruns)
    alive = checks.still_works(subject)
    evidence.cases = results
    evidence.floor = reading
    evidence.checks += [checks.uniform_failures(results), checks.no_early_failure(results, reading), alive]
    evidence.findings = findings.gravest_first([*evidence.findings, *checks.failure_floor(reading)])
    if alive.status is not Status.INCONCLUSIVE:
        plan = evidence.plan
        progress(Step("speed", 0, len(plan.threads)))
        evidence.runs = measure(subject, plan, lambda done: progress(Step("speed", done, len(plan.threads))))
        evidence.checks.append(checks.right_under_load(evidence.runs))
