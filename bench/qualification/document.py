# SPDX-License-Identifier: Apache-2.0
"""From the evidence to the ``sealpass.qualification/1`` document (bench/schemas/qualification-1.json)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sealpass import __version__
from sealpass.bench.qualification import verdict
from sealpass.bench.qualification.cases import NOT_COVERED
from sealpass.bench.qualification.checks import Check, FloorReading
from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.findings import Attributes, Finding
from sealpass.bench.qualification.measurement import Plan, Run
from sealpass.bench.qualification.trial import CaseResult, Status
from sealpass.core.capabilities import UnwrapMode

SCHEMA = "sealpass.qualification/1"
SOFTWARE_NOTE = "software token: functional baseline, no performance claim"
_SOFT_TOKENS = ("softhsm", "softokn", "mozilla", "kryoptic")


@dataclass(slots=True)
class Evidence:
    """Everything found about a key; nothing in it is secret."""

    subject: Subject
    quick: bool
    plan: Plan
    unsupported: str | None
    """What the profile needs and the key lacks."""
    started: datetime
    host: dict[str, Any]
    module: Mapping[str, str] | None
    capabilities: dict[str, Any]
    attributes: Attributes | None
    no_attributes: str | None
    """Why there are none."""
    findings: list[Finding]
    checks: list[Check]
    cases: list[CaseResult] = field(default_factory=list)
    floor: FloorReading | None = None
    runs: list[Run] | None = None
    seconds: float = 0.0


def document(evidence: Evidence) -> dict[str, Any]:
    """The result file as JSON values; views are made from it alone."""
    subject, profile, key = evidence.subject, evidence.subject.profile, evidence.subject.key
    cases = [result.to_dict() for result in evidence.cases]
    judgement = verdict.judge(
        evidence.unsupported,
        evidence.cases,
        evidence.checks,
        evidence.findings,
        evidence.runs,
        evidence.plan.min_samples,
    )
    supported = evidence.unsupported is None
    return {
        "schema": SCHEMA,
        "tool": {"name": "sealpass", "version": __version__},
        "started": evidence.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "duration_s": round(evidence.seconds, 3),
        "settings": {"profile": profile.name, "allow_sha1": "RSA-OAEP" in profile.algs, "quick": evidence.quick},
        "key": {
            "uri": str(key.uri),
            "id": key.key_id,
            "bits": key.public_jwk.bits,
            "mode": None if key.capabilities.mode is None else key.capabilities.mode.value,
        },
        "host": evidence.host,
        "module": {
            "status": "not-available" if evidence.module is None else "read",
            "reason": "keys of this kind have no module to ask" if evidence.module is None else None,
            "values": None if evidence.module is None else dict(evidence.module),
        },
        "capabilities": evidence.capabilities
        | {"announced": {"alg": subject.alg, "enc": subject.enc} if supported else None},
        "attributes": {
            "status": "not-available" if evidence.attributes is None else "read",
            "reason": evidence.no_attributes,
            "values": None if evidence.attributes is None else dict(evidence.attributes),
        },
        "findings": [finding.to_dict() for finding in evidence.findings],
        "deviations": _deviations(evidence) if supported else [],
        "cases": cases,
        "not_covered": [{"id": name, "reason": reason} for name, reason in NOT_COVERED.items()],
        "checks": [check.to_dict() for check in evidence.checks],
        "failure_floor": None if evidence.floor is None else evidence.floor.to_dict(),
        "measurement": _measurement(evidence),
        "verdict": judgement.to_dict() | {"cases": verdict.counts(cases)},
    }


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
    measured = evidence.runs is not None
    return {
        "status": "measured" if measured else "not-measured",
        "reason": None if measured else evidence.unsupported or "the device stopped answering before",
        "note": SOFTWARE_NOTE if _is_software(evidence) else None,
        "operation": "token to password by unwrap_password, every password compared",
        "plan": evidence.plan.to_dict(),
        "runs": None if evidence.runs is None else [run.to_dict() for run in evidence.runs],
    }


def _is_software(evidence: Evidence) -> bool:
    facts = " ".join((evidence.module or {}).values()).lower()
    software_key = evidence.subject.key.capabilities.mode is UnwrapMode.SOFTWARE
    return software_key or any(name in facts for name in _SOFT_TOKENS)
