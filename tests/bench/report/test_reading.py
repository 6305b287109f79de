# SPDX-License-Identifier: Apache-2.0
"""Result files as they are read: whatever else checks a JSON Schema comes to the same answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench.gate import shape
from sealpass.bench.report.html_page import SCHEMAS
from sealpass.bench.report.reading import read
from sealpass.core.errors import ConfigError
from tests.bench.report.results import EVERY, load

RUN = "run-1.json"
OTHERS: tuple[Any, ...] = (None, -1, 1.5, 10**30, True, "text", [], {}, {"another": 1})


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.name)
def test_what_was_recorded_can_be_read(path: Path) -> None:
    """With the members that its schema names, and with others in a later version."""
    assert read(path, SCHEMAS) == read(path, SCHEMAS, leniently=True) == load(path)


def test_every_keyword_of_a_run_is_checked() -> None:
    """One that is not known would be kept to by others alone."""

    def keywords(form: Any) -> Iterator[str]:
        if isinstance(form, dict):
            yield from form
            for group in ("properties", "$defs"):
                for inner in form.get(group, {}).values():
                    yield from keywords(inner)
            for name in ("items", "additionalProperties"):
                yield from keywords(form.get(name))
            for inner in (*form.get("anyOf", ()), *form.get("oneOf", ())):
                yield from keywords(inner)

    assert set(keywords(shape.schema(RUN))) <= shape.KEYWORDS


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything that stands in something, with its place there."""
    if isinstance(value, dict | list):
        for name, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, name
            yield from places(inner)


def test_a_wrong_value_anywhere_is_found() -> None:
    """Each value of a run in turn becomes another: it is refused where a JSON Schema library refuses it."""
    document = load(EVERY[0])
    document["measurements"] = [one for one in document["measurements"] if one["load"]["kind"] == "open"][:1]
    document["measurements"][0]["series"][1:] = document["scaling"][0]["points"][1:] = []
    document["objectives"][1:] = document["devices"][1:] = document["scaling"][1:] = []
    validator = Draft202012Validator(shape.schema(RUN))
    for holder, name in places(document):
        kept = holder[name]
        for other in OTHERS:
            holder[name] = other
            is_wrong = shape.fault(document, RUN) is not None
            # Numbers that others' readers would round are no numbers here.
            assert is_wrong is (other == 10**30 or not validator.is_valid(document)), (name, other)
        holder[name] = kept
    assert shape.fault(document, RUN) is None


@pytest.mark.parametrize("wrong", [-1, 2**54, 10**400, 1.5, True, None, "1"])
def test_one_wrong_number_among_many_is_found(wrong: object) -> None:
    """At its place, wherever that is."""
    document = load(EVERY[0])
    for place in (0, 17, 99):
        times: list[object] = [5] * 100
        document["measurements"][0]["raw_ns"] = times
        assert shape.fault(document, RUN) is None
        times[place] = wrong
        assert shape.fault(document, RUN) == f"measurements[0].raw_ns[{place}]"


def test_members_of_a_later_version_are_taken_only_where_they_do_no_harm() -> None:
    """A report leaves them out; what is merged must be known as a whole. A wrong value is wrong for both."""
    later = load(EVERY[0])
    later["measurements"][0]["load"]["later"] = later["later"] = {"more": [1]}
    assert shape.fault(later, RUN, leniently=True) is None
    assert shape.fault(later, RUN) is not None
    later["measurements"][0]["errors"] = {"x": -5}
    assert shape.fault(later, RUN, leniently=True) == "measurements[0].errors"


def test_what_is_nested_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever meets it first: the parser, or the check."""
    path = tmp_path / "deep.json"
    path.write_text('{"schema": "sealpass.run/1", "deep": ' + 200_000 * "[")
    with pytest.raises(ConfigError, match="is not JSON"):
        read(path, SCHEMAS, leniently=True)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    document = load(EVERY[0]) | {"deep": deep}
    monkeypatch.setattr(json, "loads", lambda _text: document)
    with pytest.raises(ConfigError, match="nested too deeply"):
        read(EVERY[0], SCHEMAS, leniently=True)
