# SPDX-License-Identifier: Apache-2.0
"""The HTML report is a pure function of result files: recorded pages, and what holds of every page.

After an intended change: ``python -m tests.bench.report.test_page`` writes the pages again; read the difference. Plots
are not in them, so that a new release of the plot library breaks no test: test_plots.py looks into those.
"""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sealpass.bench.report import html_page
from tests.bench.report.results import EVERY, FILES, RECORDED, find, load, overloaded, parse, result, text

PAGES = {
    "run": ("run",),
    "gate": ("gate",),
    "emulator": ("emulator",),
    "several": ("run", "run", "gate", "failed"),
}


def without_plots(page: str) -> str:
    """The page but for its plots and its style sheet."""
    page = re.sub(r'(<div class="plot">).*?(</div>)', r"\1\2", page, flags=re.DOTALL)
    return re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)


def made(names: Sequence[str]) -> str:
    """The report on result files, each with its name."""
    return html_page.render([result(name) for name in names], [f"{name}.json" for name in names])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_recorded(name: str) -> None:
    """Recorded result files give the recorded page, to the character."""
    assert without_plots(made(PAGES[name])) == (RECORDED / f"{name}.html").read_text(encoding="utf-8")


def test_a_page_is_the_same_each_time() -> None:
    """No clock, no random number, no order of a set gets into a page, its plots included."""
    assert made(("run", "gate")) == made(("run", "gate"))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_result_file_gives_a_valid_page(path: Path) -> None:
    """A strict HTML parser has nothing to say against it, each id is there once, and each plot has its texts."""
    root = parse(html_page.render([load(path)]))
    identities = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(identities) == len(set(identities))
    for svg in [each for each in find(root, "svg") if each.get("aria-hidden") != "true"]:
        assert svg.get("role") == "img"
        assert set(svg.get("aria-labelledby", "").split()) <= set(identities)
        assert all(text(each).strip() for name in ("title", "desc") for each in find(svg, name))
        assert find(svg, "title")
        assert find(svg, "desc")


@pytest.mark.parametrize("name", FILES)
def test_a_page_needs_nothing_from_elsewhere(name: str) -> None:
    """No script, no link but within the page, no resource, no import: it can be filed and opened anywhere."""
    page = made((name,))
    root = parse(page)
    tags = {str(each.tag).rpartition("}")[2] for each in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "image", "use", "base", "form"}
    references = [each.get(key, "") for each in root.iter() for key in each.attrib if key.endswith(("href", "src"))]
    assert all(reference.startswith("#") for reference in references)
    [style] = [text(each) for each in find(root, "style")]
    assert not re.search(r"url\(|@import|http", style)
    assert not [key for each in root.iter() for key in each.attrib if key.startswith("on")]
    [policy] = [each for each in find(root, "meta") if each.get("http-equiv")]
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'"


def test_hostile_texts_of_a_device_stay_text() -> None:
    """Tags, quotes, control characters and directions in labels are shown, and do nothing."""
    hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\x00\u202e]]>" + "x" * 5000
    run = result("run")
    run["devices"][0] |= {
        "uri": hostile,
        "note": hostile,
        "module": {**run["devices"][0]["module"], "values": {hostile: hostile}},
    }
    run["host"]["cpu"] = run["measurements"][0]["stability"]["reasons"][0] = run["scaling"][0]["advice"] = hostile
    run["measurements"][0]["errors"] = {hostile: 1}
    run["measurements"][3]["reason"] = hostile
    gate = result("gate")
    gate["sides"][0] |= {"name": hostile, "label": hostile}
    gate["verdict"]["reasons"] = [hostile]
    qualification = result("failed")
    qualification["key"]["uri"] = hostile
    for documents in ([run], [gate], [qualification], [run, gate, qualification]):
        page = html_page.render(documents)
        root = parse(page)
        assert not find(root, "script") + find(root, "img")
        assert all(character.isprintable() or character == "\n" for character in page)
        assert "alert(1)" in text(root)


def test_what_was_not_measured_says_why() -> None:
    """It stands in the table of speed with its reason, and nothing there is 0."""
    root = parse(made(("run",)))
    [cell] = find(root, "td", "why")
    assert text(cell) == "not measured: process 1 died before it was ready (exit status -9)"
    row = next(each for each in find(root, "tr") if cell in list(each))
    after = [text(each) for each in list(row)[list(row).index(cell) + 1 :]]
    assert set(after) == {"-"}


@pytest.mark.parametrize(
    ("name", "claim"), [("run", "software token"), ("gate", "software token"), ("emulator", "emulator")]
)
def test_every_figure_of_speed_of_a_stand_in_says_so(name: str, claim: str) -> None:
    """Each plot and each heading over speed has the note, and so has the box on trust."""
    root = parse(made((name,)))
    figures = find(root, "figure")
    assert figures
    assert all(claim in "".join(map(text, find(figure, "p", "claim"))) for figure in figures)
    headings = [text(each) for each in find(root, "h2")]
    assert all(claim in each for each in headings if each.startswith(("Speed", "Comparison", "Objectives")))
    [box] = find(root, "section", "trust")
    assert claim in text(box)


def test_verdicts_stand_first() -> None:
    """Before anything else, and then how far to trust them; of several result files each has its letter."""
    root = parse(made(("run", "gate", "failed")))
    headings = [text(each) for each in find(root, "h2")]
    assert headings[:3] == ["A INCOMPLETE", "B FAIL", "C FAIL"]
    assert headings[3:6] == [f"{letter}: How far to trust this" for letter in "ABC"]


def test_several_files_are_named() -> None:
    """Beside its letter each has its file's name, and the settings in which it differs from others of its form."""
    slower = result("run")
    slower["settings"] |= {"load": "open", "rate_per_s": 500.0}
    documents, names = (result("run"), slower, result("gate")), ("a.json", "b <b>.json", "g.json")
    root = parse(html_page.render(documents, names))
    cards = find(root, "section", "card")
    assert all(name in text(card) for name, card in zip(names, cards, strict=True))
    [table] = [
        block.section for block in html_page.page(documents, names).blocks if "Result files" in block.section.title
    ]
    assert [row[:3] for row in table.rows] == [
        ["A", "a.json", "load closed; rate per s -"],
        ["B", "b <b>.json", "load open; rate per s 500"],
        ["C", "g.json", "-"],
    ]


def test_an_overload_is_in_the_verdict() -> None:
    """Whoever reads nothing else reads that the rate was not carried; a few that never started are no overload."""
    [card] = find(parse(html_page.render([overloaded()])), "section", "card")
    assert "38,002 of 40,000 operations never started. The rate was not carried" in text(card)
    run = result("run") | {"status": "complete"}
    assert html_page.page([run]).cards[0].kind == "plain"
    assert html_page.page([overloaded() | {"status": "complete"}]).cards[0].kind == "inconclusive"
    assert "never started" not in " ".join(html_page.page([run]).cards[0].notes)


def test_every_percentile_of_a_run_says_of_which_time_it_is() -> None:
    """Of an open loop what users wait comes first, in the table of speed and in those of plots."""
    page = html_page.page([result("run")])
    tables = [block.section for block in page.blocks]
    tables += [figure.data for block in page.blocks for figure in block.figures if figure.data is not None]
    headers = [header for table in tables for header in table.headers if re.search(r"p\d\d|max ms", header)]
    assert headers
    assert all(re.match("response|service|start delay", header) for header in headers)
    [speed] = [table for table in tables if table.title == "Speed"]
    assert next(header for header in speed.headers if "p99" in header) == "response p99 ms"
    opened = next(row for row in speed.rows if "open" in " ".join(row))
    assert opened[list(speed.headers).index("response p99 ms")] == "1.606"
    assert opened[list(speed.headers).index("service p99 ms")] == "1.674"


def test_links_in_the_head_are_short() -> None:
    """Why figures are no claim stands over each of them, and not in each link."""
    root = parse(made(("run", "gate", "emulator")))
    [contents] = find(root, "nav")
    links = [text(each) for each in find(contents, "a")]
    assert "C: Speed" in links
    assert not [link for link in links if "software token" in link or "emulator" in link]


def test_a_sentence_begins_with_a_capital_letter() -> None:
    """Also one that was the reason of something."""
    run, gate = result("run"), result("gate")
    run["scaling"][0] |= {"advice": "measure more numbers.", "reason": "too few points: 2 given"}
    gate["stages"][1]["reasons"] = ["another CPU", "another kernel."]
    roots = [parse(html_page.render([document])) for document in (run, gate)]
    told = [text(each) for root in roots for name in ("p", "li", "td") for each in find(root, name)]
    assert not [each for each in told if re.search(r"\. [a-z]", each)]
    assert "Another CPU. Another kernel." in told
    assert "p99 at 100/s is 91.4 ms, more than 75 ms." in told  # a name keeps its letter
    assert "Measure more numbers." in html_page.page([run]).cards[0].notes
    assert html_page.page([run]).blocks[1].figures[0].text == "Measure more numbers. Too few points: 2 given."


def test_a_row_can_become_a_list() -> None:
    """On a phone the cells of a wide table stand below each other, so each knows the heading of its column."""
    root = parse(made(("run",)))
    stacked = find(root, "table", "stacked")
    assert stacked
    for table in stacked:
        headers = [text(each) for each in find(table, "th")]
        for row in find(table, "tr")[1:]:
            assert [cell.get("data-label", "") for cell in row] == headers
    [style] = [text(each) for each in find(root, "style")]
    assert "content: attr(data-label)" in style


def test_nothing_of_a_qualification_is_said_twice() -> None:
    """The verdict is in its card, and not in a section of its own as well."""
    root = parse(made(("failed",)))
    headings = [text(each) for each in find(root, "h2") + find(root, "h3")]
    assert len(headings) == len(set(headings))
    assert "Verdict" not in headings
    assert text(root).count("The key does not qualify.") == 1


def test_a_long_run_is_a_small_file() -> None:
    """Thirty measurements of two minutes each stay below a megabyte, and the table has every second of them."""
    run = result("run")
    pattern = run["measurements"][0]
    run["scaling"], run["measurements"] = [], []
    for number in range(30):
        entry: dict[str, Any] = copy.deepcopy(pattern)
        entry["axes"]["threads"] = number + 1
        entry["series"] = [
            {"at_s": float(second), "verified": 2780, "errors": 0, "p50_ns": 700_000, "p99_ns": 1_200_000 + second}
            for second in range(1, 121)
        ]
        run["measurements"].append(entry)
    page = html_page.render([run])
    assert len(page.encode("utf-8")) < 1_000_000
    assert page.count("<td>2780</td>") == 30 * 120


if __name__ == "__main__":
    for page_name, parts in PAGES.items():
        (RECORDED / f"{page_name}.html").write_text(without_plots(made(parts)), encoding="utf-8")


def test_a_window_without_an_interval_has_a_page() -> None:
    """So short that nothing was answered in it: alone, and beside one that has intervals."""
    short = result("run")
    for one in short["measurements"]:
        one["series"] = one["series"] and [step | {"at_s": 0.0} for step in one["series"][:1]]
    for documents in ([short], [result("run"), short]):
        parse(html_page.render(documents))
