# SPDX-License-Identifier: Apache-2.0
"""The qualification of one key: capabilities, attributes, contract cases, checks, speed, verdict."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sealpass.backends.registry import open_key
from sealpass.bench import distribution, fingerprint
from sealpass.bench.gate.targets import Targets
from sealpass.bench.load import host_watch
from sealpass.bench.qualification import capability, checks, findings
from sealpass.bench.qualification.checks import FloorReading
from sealpass.bench.qualification.device import Subject, is_emulated, key_attributes, module_facts
from sealpass.bench.qualification.dialect import all_cases
from sealpass.bench.qualification.document import Evidence, Settings, document, document_of_unfit
from sealpass.bench.qualification.measurement import FULL, QUICK, Plan, measure
from sealpass.bench.qualification.trial import CaseResult, Status, run_cases
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.contract import announced_algorithms
from sealpass.core.errors import UnsupportedAlgorithm
from sealpass.core.jwk import check_rsa_public_key
from sealpass.core.nonces import MemoryNonceStore, NonceStore
from sealpass.core.profile import Profile
from sealpass.core.protocols import Key, Unwrapper
from sealpass.core.uri import KeyUri

_SHORT_FLOOR_SECONDS = 0.1
"""About sixty failures are awaited: one after the other up to this floor, in several threads above it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a qualification is, for whoever shows progress."""

    stage: str
    done: int
    total: int


Progress = Callable[[Step], None]
"""Called now and then, never twice at once, and not always from the thread that asked for the qualification."""


def _silent(_step: Step) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """How to qualify."""

    quick: bool = False
    plan: Plan | None = None
    """How to measure speed; None = by ``quick``."""
    force_login: bool = False
    """For a URI; see :class:`~sealpass.backends.registry.OpenOptions`."""
    failure_floor: float | None = None
    """For a URI: seconds after which failures are released; None = the backend's own default."""
    allow_software: bool = False
    """Also pass a key that is in the memory of this process: for development only."""
    targets: Targets | None = None
    """How fast the key has to be, besides what it has to do."""
    nonces: Callable[[], NonceStore] = field(default=MemoryNonceStore)
    """Makes the nonce store that the cases use; give your own to qualify it along with the key."""

    @property
    def chosen_plan(self) -> Plan:
        """The plan that is in force."""
        return self.plan or (QUICK if self.quick else FULL)

    @property
    def allowed_modes(self) -> tuple[UnwrapMode, ...]:
        """The unwrap modes in which a key may pass."""
        in_a_device = (UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN)
        return (*in_a_device, UnwrapMode.SOFTWARE) if self.allow_software else in_a_device


def qualify(
    key: Unwrapper | KeyUri | str, profile: Profile, options: Options | None = None, progress: Progress = _silent
) -> dict[str, Any]:
    """Qualify a key under a profile; answers a ``sealpass.qualification/1`` document without secrets.

    An open key stays open; a URI is opened and closed again. A key that is there and cannot do it at all (not RSA, too
    short) has a document, too: it fails. Raises operator errors where no key could be opened, and MissingDependency.
    What goes wrong later is in the document.
    """
    chosen = options or Options()
    distribution.require_histograms()
    settings = Settings(
        profile, chosen.quick, chosen.chosen_plan, chosen.allowed_modes, chosen.failure_floor, datetime.now(UTC)
    )
    named = KeyUri.parse(key) if isinstance(key, str) else key
    uri = named if isinstance(named, KeyUri) else named.uri
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(_open(named, chosen, progress)) if isinstance(named, KeyUri) else named
            unwrapper = _rsa_key(opened)
        except UnsupportedAlgorithm as error:
            return document_of_unfit(settings, uri, _explained(error), _host(fingerprint.load_average()))
        return document(_collect(unwrapper, settings, chosen, progress))


def _open(uri: KeyUri, options: Options, progress: Progress) -> Key:
    progress(Step("opening the key", 0, 1))
    return open_key(uri, failure_floor=options.failure_floor, force_login=options.force_login)


def _rsa_key(key: Key) -> Unwrapper:
    """The key in its role; raises UnsupportedAlgorithm for another kind, and for what our backends would not open."""
    if not isinstance(key, Unwrapper):
        raise UnsupportedAlgorithm(
            "this key is symmetric: it seals and does not unwrap; 'qualify' qualifies keys that unwrap",
            hint="name an RSA private key; 'sealpass doctor KEY' shows what this one does",
        )
    check_rsa_public_key(key.public_jwk.public_key())
    return key


def _explained(error: UnsupportedAlgorithm) -> str:
    """The error with its hint, where it has one of its own."""
    return str(error) if error.hint == UnsupportedAlgorithm.hint else f"{error}; {error.hint}"


def _host(load_before: list[float] | None) -> dict[str, Any]:
    return fingerprint.host() | {"load_before": load_before, "load_after": fingerprint.load_average()}


def _collect(key: Unwrapper, settings: Settings, options: Options, progress: Progress) -> Evidence:
    began, load_before = time.monotonic(), fingerprint.load_average()
    progress(Step("capabilities", 0, 1))
    capabilities, honest = capability.try_everything(key)
    attributes, module = key_attributes(key), module_facts(key)
    subject, unsupported = _subject(key, settings.profile, options)
    if key.capabilities.mode is UnwrapMode.IN_TOKEN and (attributes.values or {}).get("cek_length_checked") is not True:
        subject = replace(subject, may_take_any_cek_size=True)
    evidence = Evidence(
        subject=subject,
        settings=settings,
        unsupported=unsupported,
        module=module,
        capabilities=capabilities,
        attributes=attributes,
        findings=findings.judge_key(key, attributes.values, module.values, settings.allowed_modes),
        checks=[honest, checks.attributes_read(attributes)],
    )
    if unsupported is None:
        _try(evidence, options.targets, progress)
    else:
        reason = "the key does not do the profile"
        evidence.cases = [CaseResult(case, Status.NOT_SUPPORTED, reason=reason) for case in all_cases(subject)]
    evidence.host = _host(load_before)
    evidence.seconds = time.monotonic() - began
    return evidence


def _subject(key: Unwrapper, profile: Profile, options: Options) -> tuple[Subject, str | None]:
    """The key under the profile, and what the profile needs and the key lacks."""
    try:
        alg, enc = announced_algorithms(profile, key)
    except UnsupportedAlgorithm as error:
        return Subject(key, profile, profile.algs[0], profile.encs[0]), _explained(error)
    return Subject(key, profile, alg, enc, options.nonces()), None


def _try(evidence: Evidence, targets: Targets | None, progress: Progress) -> None:
    """Everything that needs the profile to be supported."""
    subject, floor = evidence.subject, evidence.subject.key.failure_floor
    cases = list(all_cases(subject))
    progress(Step("contract cases", 0, len(cases)))
    failures, overruns = floor.failures, floor.overruns
    plan = evidence.settings.plan
    # No more at once than the speed measurement will be: a device that cannot bear it shows that in either.
    threads = 1 if floor.seconds <= _SHORT_FLOOR_SECONDS else max(plan.threads)
    results = run_cases(subject, cases, lambda done: progress(Step("contract cases", done, len(cases))), threads)
    reading = FloorReading(floor.seconds, floor.failures - failures, floor.overruns - overruns)
    alive = checks.still_works(subject)
    evidence.cases = results
    evidence.floor = reading
    evidence.checks += [checks.uniform_failures(results), checks.no_early_failure(results, reading), alive]
    evidence.findings = findings.gravest_first(
        [
            *evidence.findings,
            *checks.failure_floor(reading, checks.slowest_failure(results), emulated=is_emulated(subject.key)),
        ]
    )
    if alive.status is not Status.INCONCLUSIVE:
        _measure(evidence, targets, progress)


def _measure(evidence: Evidence, targets: Targets | None, progress: Progress) -> None:
    """How fast it is, and whether that is enough."""
    subject = evidence.subject
    target = None if targets is None else targets.of(subject.key.uri.scheme)
    if target is not None:
        plan = evidence.settings.plan.with_threads(target.threads)
        evidence.settings = replace(evidence.settings, plan=plan)
    plan = evidence.settings.plan
    before = host_watch.take([os.getpid()])
    progress(Step("speed", 0, len(plan.threads)))
    evidence.runs = measure(subject, plan, lambda done: progress(Step("speed", done, len(plan.threads))))
    evidence.checks.append(checks.right_under_load(evidence.runs))
    if targets is not None and target is not None:
        held, busy = host_watch.complaints(host_watch.between(before, host_watch.take([os.getpid()])))
        evidence.checks.append(checks.fast_enough(evidence.runs, target, targets.slack, [*held, *busy]))
