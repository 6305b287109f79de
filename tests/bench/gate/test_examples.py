# SPDX-License-Identifier: Apache-2.0
"""The example documents, which views are tested with, are of the published form and end as their names say."""

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
