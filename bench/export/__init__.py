# SPDX-License-Identifier: Apache-2.0
"""Results in the forms that other tools read: pure functions of gates, comparisons and runs."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from sealpass.bench.report.outline import printable
from sealpass.core.errors import ConfigError

Document = Mapping[str, Any]
GATE, RUN = "sealpass.gate/1", "sealpass.run/1"
FORMS = {
    "junit": "sealpass.bench.export.junit",
    "markdown": "sealpass.bench.export.step_summary",
    "prometheus": "sealpass.bench.export.prometheus",
    "pytest-benchmark": "sealpass.bench.export.pytest_benchmark",
}
"""Each form by the module that makes it."""


def render(document: Document, form: str) -> str:
    """The document in one of FORMS, with a newline at its end; raises ConfigError for another kind of document."""
    if document.get("schema") not in (GATE, RUN):
        raise ConfigError(f"only {GATE} and {RUN} documents can be exported, and not {document.get('schema')}")
    text: str = importlib.import_module(FORMS[form]).render(printable_texts(document))
    return text


def printable_texts(value: Any) -> Any:
    """The same without control characters or bytes that are no text: some are labels from devices, or file names."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {name: printable_texts(member) for name, member in value.items()}
    return [printable_texts(member) for member in value] if isinstance(value, Sequence) else value
