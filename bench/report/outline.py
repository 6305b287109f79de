# SPDX-License-Identifier: Apache-2.0
"""What a report on a qualification says, section by section, before it has a form.

Made from a ``sealpass.qualification/1`` document and nothing else. Texts from devices (labels, serial numbers) are
stripped of what is not printable, so that no token writes control sequences to somebody's terminal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOT_MEASURED = "-"
SPEED = "Speed"
"""The title of the section with the figures of speed."""
_NONE_TRIED = "None was tried."
_NANOSECONDS_PER_MS = 1_000_000
_PARTS = {
    "V": "valid tokens",
    "A": "algorithm and encrypted key",
    "H": "header and nonce",
    "E": "encoding",
    "C": "content encryption",
    "P": "payload and password",
    "R": "one nonce, one use",
}
"""In the order of docs/qualification.md."""
_TRIED = {True: "accepted when tried", False: "refused when tried", None: "not known"}
_TRIALS = {
    "raw_rsa": ("raw RSA (CKM_RSA_X_509)", _TRIED),
    "rsa_pkcs": ("PKCS #1 v1.5 padding (CKM_RSA_PKCS)", _TRIED),
    "cek_readable": (
        "a content encryption key, unwrapped to be read",
        {True: "could be read when tried", False: "could not be read when tried", None: "not known"},
    ),
    "cek_length_checked": (
        "a content encryption key of another size",
        {True: "refused when tried", False: "accepted when tried", None: "not known"},
    ),
}
"""What stands among the attributes and is none: it was found by trying."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A title, sentences, and a table. Every text in it is printable."""

    title: str
    notes: Sequence[str] = ()
    headers: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    numbers: frozenset[int] = frozenset()
    """Columns that are set flush right."""
    claim: str = ""
    """Why its figures are no claim about a device."""

    @property
    def heading(self) -> str:
        """What stands over it; a link to it needs only the title."""
        return f"{self.title} ({self.claim})" if self.claim else self.title


def printable(value: object) -> str:
    """Any value as one line of text without control characters; None is a dash."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(character if character.isprintable() else "\ufffd" for character in str(value))


def cells(*values: object) -> list[str]:
    """A row of a table."""
    return [printable(value) for value in values]


def title(document: Document) -> str:
    """The headline: verdict, profile and key."""
    verdict = document["verdict"]["verdict"]
    shown = verdict.upper() + _count(document["deviations"]) + (_to_weigh(document) if verdict == "pass" else "")
    return printable(f"{shown}: {document['key']['uri']} under profile {document['settings']['profile']}")


def _count(deviations: Sequence[Any]) -> str:
    if not deviations:
        return ""
    return " WITH A DEVIATION" if len(deviations) == 1 else f" WITH {len(deviations)} DEVIATIONS"


def _to_weigh(document: Document) -> str:
    """What a pass comes with: how many findings of each severity, in their order, which is gravest first."""
    counts = Counter(finding["severity"] for finding in document["findings"])
    if not counts:
        return ""
    (first, count), *others = counts.items()
    noun = "finding" if count == 1 else "findings"
    return f", with {count} {noun} of severity {first}" + "".join(f", {number} of {name}" for name, number in others)


def verdict_section(document: Document) -> Section:
    """The verdict and its reasons."""
    verdict = document["verdict"]
    meanings = {
        "pass": "The profile is met, but for what deviates." if document["deviations"] else "The profile is fully met.",
        "fail": "The key does not qualify.",
        "inconclusive": "Not measured well enough to say.",
    }
    notes = [meanings[verdict["verdict"]], *map(printable, verdict["reasons"])]
    notes += [f"Deviation: {printable(deviation['text'])}." for deviation in document["deviations"]]
    return Section("Verdict", notes)


def summary(document: Document) -> Iterator[Section]:
    """The short report: what a person reads at the end of a run."""
    yield _key(document)
    yield _capabilities(document)
    yield _findings(document)
    yield _case_counts(document)
    odd = [case for case in document["cases"] if case["status"] not in {"pass", "not-supported"}]
    if odd:
        yield _cases("Cases that did not pass", odd)
    yield _checks(document)
    yield _speed(document)
    yield verdict_section(document)


def full(document: Document) -> Iterator[Section]:
    """The whole report: what an auditor files."""
    yield verdict_section(document)
    yield _key(document)
    yield _module(document)
    yield host_section(document)
    yield _capabilities(document)
    yield _attributes(document)
    yield _findings(document)
    yield _case_counts(document)
    yield _checks(document)
    yield _cases("Contract cases", document["cases"])
    yield _speed(document)
    yield Section(
        "Not covered",
        ["Entries of the catalogue for which a qualification has no case."],
        ("entry", "why"),
        [cells(entry["id"], entry["reason"]) for entry in document["not_covered"]],
    )


def _key(document: Document) -> Section:
    key, settings = document["key"], document["settings"]
    announced = document["capabilities"]["announced"]
    floor = settings["failure_floor_s"]
    algorithms = "nothing of the profile" if announced is None else f"{announced['alg']} with {announced['enc']}"
    return Section(
        "Key",
        headers=("", ""),
        rows=[
            cells("URI", key["uri"]),
            cells("key id", key["id"]),
            cells("kind", None if key["bits"] is None else f"RSA-{key['bits']}"),
            cells("unwrap mode", key["mode"]),
            cells("modes that may pass", ", ".join(settings["allowed_modes"])),
            cells("failure floor", "the device's default" if floor is None else f"{floor * 1000:g} ms, as asked for"),
            cells("profile", settings["profile"] + (" with SHA-1 allowed" if settings["allow_sha1"] else "")),
            *([cells("AES-GCM", _aes_gcm(settings))] if "kms_aad" in settings else []),
            cells("qualified with", algorithms),
            cells("when", f"{document['started']}, {document['duration_s']:.1f} s"),
            cells("by", f"{document['tool']['name']} {document['tool']['version']}"),
        ],
    )


def _aes_gcm(settings: Mapping[str, Any]) -> str:
    forms = {"text": "the characters of the nonce", "bytes": "the bytes that the nonce encodes"}
    return f"keys of {settings['kms_key_bits']} bits; {forms[settings['kms_aad']]} as additional data"


def fact_section(section: str, facts: Mapping[str, Any]) -> Section:
    """What was read from the device, or why it was not."""
    if facts["values"] is None:
        return Section(section, [f"Not available: {printable(facts['reason'])}."])
    return Section(section, headers=("", ""), rows=[cells(name, value) for name, value in facts["values"].items()])


def _module(document: Document) -> Section:
    return fact_section("Module and token", document["module"])


def _attributes(document: Document) -> Section:
    facts = document["attributes"]
    if facts["values"] is None:
        return fact_section("Key attributes", facts)
    shown = dict(_attribute(name, value) for name, value in facts["values"].items())
    return fact_section("Key attributes", {**facts, "values": shown})


def _attribute(name: str, value: Any) -> tuple[str, Any]:
    if name not in _TRIALS:
        return name, value
    label, words = _TRIALS[name]
    return label, words[value]


def host_section(document: Document) -> Section:
    """The machine that it ran on."""
    rows = []
    for name, value in document["host"].items():
        shown = " ".join(f"{load:.2f}" for load in value) if isinstance(value, list) else value
        rows.append(cells(name.replace("_", " "), shown))
    return Section("Host", headers=("", ""), rows=rows)


def _capabilities(document: Document) -> Section:
    found = document["capabilities"]
    if found["status"] == "not-tried":
        return Section("Capabilities", [f"Not tried: {printable(found['reason'])}."])
    rows = [
        cells(name, entry["name"], entry["jwe_name"], entry["declared"], entry["tried"])
        for kind, name in (("oaep", "unwrap"), ("content", "content"))
        for entry in found[kind]
    ]
    return Section("Capabilities", headers=("", "algorithm", "JWE name", "declared", "tried"), rows=rows)


def _findings(document: Document) -> Section:
    if document["capabilities"]["status"] == "not-tried":
        return Section("Findings", ["Not judged: the key was not looked at."])
    rows = [cells(entry["severity"], entry["text"], entry["advice"]) for entry in document["findings"]]
    if not rows:
        return Section("Findings", ["None."])
    return Section("Findings", headers=("severity", "finding", "what to do"), rows=rows)


def _case_counts(document: Document) -> Section:
    if not document["cases"]:
        return Section("Contract cases by part", [_NONE_TRIED])
    total: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for case in document["cases"]:
        part = case["id"][0]
        total[part] += 1
        passed[part] += case["status"] == "pass"
    counts = document["verdict"]["cases"]
    words = ", ".join(f"{count} {status.replace('-', ' ')}" for status, count in counts.items() if count)
    return Section(
        "Contract cases by part",
        [f"{total.total()} cases: {words}."],
        ("part", "", "passed", "of"),
        [cells(part, what, passed[part], total[part]) for part, what in _PARTS.items() if total[part]],
        numbers=frozenset((2, 3)),
    )


def _outcome(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_MEASURED
    words = found["outcome"] + (f" ({found['reason']})" if found["reason"] else "")
    return printable(words + (f", nonce {found['nonce']}" if found["nonce"] else ""))


def _cases(name: str, cases: Sequence[Mapping[str, Any]]) -> Section:
    if not cases:
        return Section(name, [_NONE_TRIED])
    return Section(
        name,
        headers=("id", "case", "reference", "expected", "observed", "status"),
        rows=[
            [
                *cells(case["id"], case["title"], case["reference"]),
                _outcome(case["expected"]),
                printable(case["reason"]) if case["observed"] is None else _outcome(case["observed"]),
                printable(case["status"]),
            ]
            for case in sorted(cases, key=_place)
        ],
    )


def _place(case: Mapping[str, Any]) -> tuple[int, int, str]:
    """Where a case stands in docs/qualification.md: part, number, letter."""
    name: str = case["id"]
    number = name[1:].rstrip("abcdefghijklmnopqrstuvwxyz")
    return list(_PARTS).index(name[0]), int(number), name[1 + len(number) :]


def _checks(document: Document) -> Section:
    if not document["checks"]:
        return Section("Checks across all cases", [_NONE_TRIED])
    rows = [cells(check["id"], check["title"], check["detail"], check["status"]) for check in document["checks"]]
    notes = []
    floor = document["failure_floor"]
    if floor is not None:
        notes.append(
            f"Failures are released after {floor['seconds'] * 1000:g} ms; "
            f"{floor['overruns']} of {floor['failures']} missed it."
        )
    return Section("Checks across all cases", notes, ("id", "check", "detail", "status"), rows)


def milliseconds(nanoseconds: int | None) -> str:
    """Nanoseconds as milliseconds, to the microsecond."""
    return NOT_MEASURED if nanoseconds is None else f"{nanoseconds / _NANOSECONDS_PER_MS:.3f}"


def _speed(document: Document) -> Section:
    measurement = document["measurement"]
    claim = printable(measurement["note"]) if measurement["note"] else ""
    if measurement["runs"] is None:
        return Section(SPEED, [f"Not measured: {printable(measurement['reason'])}."], claim=claim)
    rows = []
    for run in measurement["runs"]:
        latency = run["latency"] or {}
        errors = ", ".join(f"{count} {code}" for code, count in run["errors"].items()) or "none"
        rows.append(
            cells(
                run["threads"],
                f"{run['throughput_per_s']:.0f}",
                *(milliseconds(latency.get(name)) for name in ("p50_ns", "p90_ns", "p99_ns", "max_ns")),
                run["verified"],
                errors,
            )
        )
    notes = [f"One operation: {printable(measurement['operation'])}."]
    plan = measurement["plan"]
    threads = ", ".join(map(str, plan["threads"]))
    notes.append(
        f"Plan: {'quick' if document['settings']['quick'] else 'not quick'}, up to {plan['seconds']:g} s with each"
        f" number of threads ({threads}), each after {plan['warm_up_seconds']:g} s of warm-up."
    )
    headers = ("threads", "passwords/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "n", "errors")
    return Section(SPEED, notes, headers, rows, frozenset(range(7)), claim)
