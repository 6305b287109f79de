# SPDX-License-Identifier: Apache-2.0
"""Views are pure functions of recorded documents, compared with recorded reports.

After an intended change: ``python -m tests.bench.test_reports`` writes the reports again; read the difference.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.report import markdown, outline, terminal

RECORDED = Path(__file__).parent / "recorded"
NAMES = ("soft-token", "failed", "unfit", "emulator")
WIDTH = 100


def document(name: str) -> dict[str, Any]:
    """A recorded result document."""
    loaded: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def views(name: str) -> dict[str, str]:
    """The views of a recorded document, by file suffix."""
    return {"md": markdown.render(document(name)), "txt": terminal.render(document(name), width=WIDTH)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["md", "txt"])
def test_a_view_is_as_recorded(name: str, suffix: str) -> None:
    """A recorded document gives the recorded report, to the character."""
    assert views(name)[suffix] == (RECORDED / f"{name}.{suffix}").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_document_follows_the_schema(name: str, schema: dict[str, Any]) -> None:
    """The recorded documents are such as this version writes."""
    Draft202012Validator(schema).validate(document(name))


@pytest.mark.parametrize("suffix", ["md", "txt"])
def test_a_device_writes_no_control_characters(suffix: str) -> None:
    """Labels of a token reach a report without their control characters."""
    assert "\x1b" in json.loads(json.dumps(document("failed")))["module"]["values"]["token"]
    assert all(character.isprintable() or character == "\n" for character in views("failed")[suffix])


def test_a_label_is_no_markdown() -> None:
    """A label cannot open a table cell, a tag or code in the Markdown report."""
    assert "e2ee\\|prod \\<b>" in views("failed")["md"]


@pytest.mark.parametrize("suffix", ["md", "txt"])
def test_no_claim_stands_over_every_figure_of_an_emulator(suffix: str) -> None:
    """The heading of the figures says what they are not, and no other section has any."""
    text = views("emulator")[suffix]
    [heading] = [line for line in text.splitlines() if line.lstrip("# ").startswith("Speed")]
    assert heading.endswith("Speed (emulator: no performance claim)")
    assert [line for line in text.splitlines() if "passwords/s" in line] == [
        line for line in text[text.index(heading) :].splitlines() if "passwords/s" in line
    ]


@pytest.mark.parametrize("suffix", ["md", "txt"])
def test_modes_are_said_to_be_those_that_may_pass(suffix: str) -> None:
    """They are what this qualification accepts, and not what the key or its device can do."""
    text = views("emulator")[suffix]
    assert "modes that may pass" in text
    assert "allowed modes" not in text


def test_the_open_settings_of_a_profile_are_in_the_report() -> None:
    """What Airlock does not document, and the key was qualified with, stands beside the profile."""
    row = "| AES-GCM | keys of 256 bits; the characters of the nonce as additional data |"
    assert row in views("emulator")["md"]
    assert "AES-GCM |" not in views("soft-token")["md"]


@pytest.mark.parametrize(
    ("severities", "words"),
    [
        ([], "PASS: "),
        (["medium"], "PASS, with 1 finding of severity medium: "),
        (
            ["medium", "medium", "low", "info", "info"],
            "PASS, with 2 findings of severity medium, 1 of low, 2 of info: ",
        ),
    ],
)
def test_the_line_of_a_pass_counts_the_findings(severities: list[str], words: str) -> None:
    """Whoever reads one line reads that there is more to read."""
    changed = document("soft-token")
    changed["deviations"] = []
    changed["findings"] = [{"severity": severity} for severity in severities]
    assert outline.title(changed).startswith(words + "pkcs11:")


def test_a_failure_counts_no_findings_in_its_line() -> None:
    """There the reasons are what is to be read."""
    assert document("failed")["findings"]
    assert outline.title(document("failed")).startswith("FAIL: ")


def test_color_changes_nothing_but_color() -> None:
    """With color the terminal's report has the same text between its escape sequences."""
    import re

    colored = terminal.render(document("failed"), width=WIDTH, color=True)
    assert "\x1b[" in colored
    plain = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    assert [line.rstrip() for line in plain.splitlines()] == views("failed")["txt"].splitlines()


def test_cases_stand_in_the_order_of_the_guide() -> None:
    """By part as the guide has them, then by number and letter, whatever their order in the document."""
    shuffled = document("soft-token")
    shuffled["cases"].sort(key=lambda case: str(case["id"]))
    [section] = [one for one in outline.full(shuffled) if one.title == "Contract cases"]
    names = [row[0] for row in section.rows]
    assert [name for name in names if name[0] in "VAH"] == ["V1", "A1", "A6a", "A12a", "A12n", "H2a", "H4a", "H10"]
    assert names[-3:] == ["R1a", "R1c", "R1d"]


@pytest.mark.parametrize(
    ("value", "word"), [(True, "accepted when tried"), (False, "refused when tried"), (None, "not known")]
)
def test_what_was_tried_is_said_in_words(*, value: bool | None, word: str) -> None:
    """What was found by trying is no bare yes or no, and is not called by a name of the code."""
    changed = document("soft-token")
    changed["attributes"]["values"]["raw_rsa"] = value
    assert f"| raw RSA (CKM_RSA_X_509) | {word} |" in markdown.render(changed)


@pytest.mark.parametrize(("quick", "word"), [(True, "quick"), (False, "not quick")])
def test_the_speed_section_has_the_plan(*, quick: bool, word: str) -> None:
    """How long was measured, and with how many threads, stands beside the numbers."""
    changed = document("soft-token")
    changed["settings"]["quick"] = quick
    line = f"- Plan: {word}, up to 2 s with each number of threads (1, 2, 4), each after 0.5 s of warm-up.\n"
    assert line in markdown.render(changed)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "-"), (True, "yes"), (False, "no"), (7, "7"), ("a\x07b\nc", "a\ufffdb\ufffdc")]
)
def test_any_value_is_one_printable_line(value: object, expected: str) -> None:
    """Whatever a device answers becomes one line of printable text."""
    assert outline.printable(value) == expected


if __name__ == "__main__":
    for recorded in NAMES:
        for ending, text in views(recorded).items():
            (RECORDED / f"{recorded}.{ending}").write_text(text, encoding="utf-8")
