# SPDX-License-Identifier: Apache-2.0
"""The example documents, which views are tested with, are of the published form and end as their names say."""

import json
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.bench.gate.conftest import example

VERDICTS = {
    "passed": "pass",
    "slower": "fail",
    "tail": "fail",
    "wrong": "fail",
    "inconclusive": "inconclusive",
    "compared": "fail",
}


@pytest.mark.parametrize("name", VERDICTS)
def test_an_example_is_of_the_published_form(name: str, gate_schema: dict[str, Any]) -> None:
    """sealpass.gate/1."""
    Draft202012Validator.check_schema(gate_schema)
    document = example(name)
    Draft202012Validator(gate_schema).validate(document)
    assert document["verdict"]["verdict"] == VERDICTS[name]


@pytest.mark.parametrize("name", ["gate-1.json", "baseline-1.json", "run-1.json", "qualification-1.json"])
def test_no_member_of_a_schema_stands_there_twice(name: str) -> None:
    """A JSON reader takes the last one and says nothing: the first would be believed and not kept to."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [pair[0] for pair in pairs]
        assert len(names) == len(set(names)), sorted(names)
        return dict(pairs)

    text = (resources.files("sealpass.bench") / "schemas" / name).read_text(encoding="utf-8")
    json.loads(text, object_pairs_hook=once)
