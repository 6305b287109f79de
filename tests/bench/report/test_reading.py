# SPDX-License-Identifier: Apache-2.0
"""Result files as they are read: whatever else checks a JSON Schema comes to the same answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sealpass.bench import published
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


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything that stands in something, with its place there."""
    if isinstance(value, dict | list):
        for name, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, name
            yield from places(inner)


def small(document: dict[str, Any]) -> dict[str, Any]:
    """The same with one of a kind: each value is tried in turn."""
    if document["schema"] == "sealpass.run/1":
        document["measurements"] = [one for one in document["measurements"] if one["load"]["kind"] == "open"][:1]
        document["measurements"][0]["series"][1:] = document["scaling"][0]["points"][1:] = []
        document["objectives"][1:] = document["devices"][1:] = document["scaling"][1:] = []
    else:
        document["sides"][1:] = document["comparisons"][1:] = []
        document["sides"][0]["processes"][1:] = []
    return document


@pytest.mark.parametrize("name", ["run.json", "gate.json"])
def test_a_wrong_value_anywhere_is_found(name: str) -> None:
    """Each value in turn becomes another: it is refused where a checker of every keyword of JSON Schema refuses it."""
    document = small(load(next(path for path in EVERY if path.name == name)))
    schema = document["schema"].removeprefix("sealpass.").replace("/", "-") + ".json"
    validator = Draft202012Validator(published.schema(schema))
    for holder, member in places(document):
        kept = holder[member]
        for other in OTHERS:
            holder[member] = other
            is_wrong = published.fault(published.loads(json.dumps(document)), schema) is not None
            # Numbers that others' readers would round are no numbers here.
            assert is_wrong is (other == 10**30 or not validator.is_valid(document)), (member, other)
        holder[member] = kept
    assert published.fault(document, schema) is None


@pytest.mark.parametrize("wrong", [-1, 2**54, 10**400, 1.5, True, None, "1"])
def test_one_wrong_number_among_many_is_found(wrong: object) -> None:
    """Wherever it is."""
    document = load(EVERY[0])
    for place in (0, 17, 99):
        times: list[object] = [5] * 100
        document["measurements"][0]["raw_ns"] = times
        assert published.fault(document, RUN) is None
        times[place] = wrong
        assert published.fault(published.loads(json.dumps(document)), RUN) == "measurements[0].raw_ns"


@pytest.mark.parametrize("text", ["9" * 5000, "-9007199254740993", "1e400", "-1e17", "NaN", "-Infinity"])
def test_a_number_beyond_all_measure_is_none(text: str) -> None:
    """It is neither rounded nor converted at length, and nothing that a schema knows."""
    assert published.loads(f"[{text}]") == [text.encode()]
    assert published.loads("[9007199254740992, -9007199254740992, 0.5]") == [2**53, -(2**53), 0.5]


def test_members_of_a_later_version_are_taken_only_where_they_do_no_harm() -> None:
    """A report leaves them out; what is merged must be known as a whole. A wrong value is wrong for both."""
    later = load(EVERY[0])
    later["measurements"][0]["load"]["later"] = later["later"] = {"more": [1]}
    assert published.fault(later, RUN, leniently=True) is None
    assert published.fault(later, RUN) is not None
    later["measurements"][0]["errors"] = {"x": -5}
    assert published.fault(later, RUN, leniently=True) == "measurements[0].errors.x"


@pytest.mark.parametrize("name", ["missing", "unknown", "whole"])
def test_what_is_wrong_with_the_members_is_told(name: str) -> None:
    """What is missing by its name; what nobody knows without."""
    document: Any = load(EVERY[0])
    if name == "missing":
        del document["measurements"][0]["errors"]
        assert published.fault(document, RUN) == "measurements[0].errors"
    elif name == "unknown":
        document["measurements"][0]["load"] |= {"secret": 1}
        assert "secret" not in str(published.fault(document, RUN))
        document["measurements"][0]["load"].pop("secret")
        document["secret"] = 1
        assert published.fault(document, RUN) == "(an unknown member)"
    else:
        assert published.fault([document], RUN) == "the whole file"


def test_what_is_nested_without_an_end_is_refused(tmp_path: Path) -> None:
    """By the parser; what a schema leaves open is not gone into."""
    path = tmp_path / "deep.json"
    path.write_text('{"schema": "sealpass.run/1", "deep": ' + 200_000 * "[")
    with pytest.raises(ConfigError, match="is not JSON"):
        read(path, SCHEMAS, leniently=True)


def test_a_number_beyond_all_measure_is_refused_where_a_schema_leaves_it_open(tmp_path: Path) -> None:
    """What is read can be written again."""
    path = tmp_path / "large.json"
    path.write_text(json.dumps(load(EVERY[0]) | {"later": 2**70}))
    with pytest.raises(ConfigError, match="beyond all measure"):
        read(path, SCHEMAS, leniently=True)
