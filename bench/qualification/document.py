# SPDX-License-Identifier: Apache-2.0
"""From the evidence to the ``sealpass.qualification/1`` document (bench/schemas/qualification-1.json)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sealpass import __version__
from sealpass.bench.qualification import verdict
from sealpass.bench.qualification.checks import Check, FloorReading
from sealpass.bench.qualification.device import Facts, Subject, is_emulated, nothing_to_ask
from sealpass.bench.qualification.dialect import dialect_of
from sealpass.bench.qualification.findings import Finding
from sealpass.bench.qualification.measurement import Plan, Run
from sealpass.bench.qualification.trial import CaseResult, Status
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.profile import Profile
from sealpass.core.protocols import Key
from sealpass.core.uri import KeyUri

SCHEMA = "sealpass.qualification/1"
EMULATOR_NOTE = "emulator: no performance claim"
SOFTWARE_NOTE = "software token: functional baseline, no performance claim"
_SOFTWARE_SCHEMES = ("software", "keystore")
_SOFT_TOKENS = ("softhsm", "softokn", "mozilla", "kryoptic")


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for, and when."""

    profile: Profile
    quick: bool
    plan: Plan
    allowed_modes: tuple[UnwrapMode, ...]
    failure_floor: float | None
    """Seconds; None = not asked for, so the backend's own default."""
    started: datetime

    def to_dict(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "profile": self.profile.name,
            "allow_sha1": "RSA-OAEP" in self.profile.algs,
            "quick": self.quick,
            "allowed_modes": [mode.value for mode in self.allowed_modes],
            "failure_floor_s": self.failure_floor,
            **dialect_of(self.profile).settings(self.profile),
        }


@dataclass(slots=True)
class Evidence:
    """Everything found about a key; nothing in it is secret."""

    subject: Subject
    settings: Settings
    unsupported: str | None
    """What the profile needs and the key lacks."""
    module: Facts
    capabilities: dict[str, Any]
    attributes: Facts
    findings: list[Finding]
    checks: list[Check]
    cases: list[CaseResult] = field(default_factory=list)
    floor: FloorReading | None = None
    runs: list[Run] | None = None
    host: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def document(evidence: Evidence) -> dict[str, Any]:
    """The result file as JSON values; views are made from it alone."""
    subject, key = evidence.subject, evidence.subject.key
    cases = [result.to_dict() for result in evidence.cases]
    judgement = verdict.judge(
        evidence.unsupported,
        evidence.cases,
        evidence.checks,
        evidence.findings,
        evidence.runs,
        evidence.settings.plan.min_samples,
    )
    supported = evidence.unsupported is None
    announced = {"alg": subject.alg, "enc": subject.enc} if supported else None
    return {
        **_head(evidence.settings, evidence.seconds),
        "key": {
            "uri": key.uri.shown(),
            "id": key.key_id,
            "bits": key.public_jwk.bits,
            "mode": None if key.capabilities.mode is None else key.capabilities.mode.value,
        },
        "host": evidence.host,
        "module": evidence.module.to_dict(),
        "capabilities": {"status": "tried", "reason": None, **evidence.capabilities, "announced": announced},
        "attributes": evidence.attributes.to_dict(),
        "findings": [finding.to_dict() for finding in evidence.findings],
        "deviations": _deviations(evidence) if supported else [],
        "cases": cases,
        "not_covered": _not_covered(evidence.settings.profile),
        "checks": [check.to_dict() for check in sorted(evidence.checks, key=lambda check: check.id)],
        "failure_floor": None if evidence.floor is None else evidence.floor.to_dict(),
        "measurement": _measurement(evidence),
        "verdict": judgement.to_dict() | {"cases": verdict.counts(cases)},
    }


def document_of_unfit(settings: Settings, uri: KeyUri, reason: str, host: dict[str, Any]) -> dict[str, Any]:
    """The result file of a key that is there and cannot do it at all: it fails, and nothing could be tried."""
    nothing = nothing_to_ask("the key is unfit, and nothing was asked").to_dict()
    judgement = verdict.judge(reason, cases=(), checks=(), findings=(), runs=None, min_samples=0)
    return {
        **_head(settings, seconds=0.0),
        "key": {"uri": uri.shown(), "id": None, "bits": None, "mode": None},
        "host": host,
        "module": nothing,
        "capabilities": {"status": "not-tried", "reason": reason, "oaep": None, "content": None, "announced": None},
        "attributes": nothing,
        "findings": [],
        "deviations": [],
        "cases": [],
        "not_covered": _not_covered(settings.profile),
        "checks": [],
        "failure_floor": None,
        "measurement": _measured(settings.plan, None, reason, note=None),
        "verdict": judgement.to_dict() | {"cases": verdict.counts(())},
    }


def _head(settings: Settings, seconds: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "tool": {"name": "sealpass", "version": __version__},
        "started": settings.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(seconds, 3),
        "settings": settings.to_dict(),
    }


def _not_covered(profile: Profile) -> list[dict[str, str]]:
    return [{"id": name, "reason": reason} for name, reason in dialect_of(profile).not_covered.items()]


def _deviations(evidence: Evidence) -> list[dict[str, str]]:
    """What is not as the profile has it and yet no failure, each once, with the cases that show it."""
    subject = evidence.subject
    profile, default = subject.profile, subject.profile.algs[0]
    deviations = []
    if subject.alg != default:
        text = (
            f"{default}, the default of profile {profile.name}, is NOT supported by this device; "
            f"it was qualified with {subject.alg} (SHA-1) instead, by explicit opt-in"
        )
        deviations.append({"id": "sha1", "text": text})
    shown: dict[str, list[str]] = {}
    for result in evidence.cases:
        if result.status is Status.DEVIATION and result.case.deviation is not None:
            shown.setdefault(result.case.deviation, []).append(result.case.id)
    deviations += [{"id": ", ".join(ids), "text": text} for text, ids in shown.items()]
    return deviations


def _measurement(evidence: Evidence) -> dict[str, Any]:
    reason = evidence.unsupported or "the device stopped answering before"
    return _measured(evidence.settings.plan, evidence.runs, reason, _note(evidence))


def _measured(plan: Plan, runs: Sequence[Run] | None, reason: str, note: str | None) -> dict[str, Any]:
    """The speed section; ``reason`` says why there are no runs, where there are none."""
    return {
        "status": "not-measured" if runs is None else "measured",
        "reason": reason if runs is None else None,
        "note": note,
        "operation": "token to password by unwrap_password, every password compared",
        "plan": plan.to_dict(),
        "runs": None if runs is None else [run.to_dict() for run in runs],
    }


def _note(evidence: Evidence) -> str | None:
    return note_on_speed(evidence.subject.key, evidence.module)


def note_on_speed(key: Key, module: Facts) -> str | None:
    """What stands beside every figure of speed, where these say nothing about a device."""
    if is_emulated(key):
        return EMULATOR_NOTE
    facts = " ".join((module.values or {}).values()).lower()
    mode = key.capabilities.mode
    in_memory = mode is UnwrapMode.SOFTWARE or (mode is None and key.uri.scheme in _SOFTWARE_SCHEMES)  # None: it seals
    return SOFTWARE_NOTE if in_memory or any(name in facts for name in _SOFT_TOKENS) else None
