# SPDX-License-Identifier: Apache-2.0
"""Result files to make reports of, and a way to look into a report."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import html5lib

BENCH = Path(__file__).parents[1]
RECORDED = Path(__file__).parent / "recorded"
FILES = {
    "run": RECORDED / "run.json",
    "gate": RECORDED / "gate.json",
    "emulator": BENCH / "recorded" / "emulator.json",
    "failed": BENCH / "recorded" / "failed.json",
}
EVERY = (*FILES.values(), BENCH / "load" / "example-run.json", *sorted((BENCH / "gate" / "examples").glob("*.json")))
"""All recorded result files, those of other tests too."""


def load(path: Path) -> dict[str, Any]:
    """A result file."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def result(name: str) -> dict[str, Any]:
    """A result file, by its short name."""
    return load(FILES[name])


def overloaded() -> dict[str, Any]:
    """A run whose open loop was asked for more than the device can carry."""
    run = result("run")
    opened = next(each for each in run["measurements"] if each["load"]["kind"] == "open")
    opened["load"] |= {"rate_per_s": 20000.0, "intended": 40_000, "started": 1998, "unstarted": 38_002}
    return run


def parse(page: str) -> ET.Element:
    """The page as a browser sees it; raises where it is not valid."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root: ET.Element = parser.parse(page)
    return root


def parse_svg(plot: str) -> ET.Element:
    """A plot."""
    return ET.fromstring(plot)  # noqa: S314 - we made it ourselves


def find(root: ET.Element, name: str, class_name: str = "") -> list[ET.Element]:
    """Elements of a name, whatever its namespace, with a class, if any is given."""
    return [
        each
        for each in root.iter()
        if str(each.tag).rpartition("}")[2] == name and (not class_name or class_name in each.get("class", "").split())
    ]


def text(element: ET.Element) -> str:
    """All text in an element."""
    return "".join(element.itertext())
