# SPDX-License-Identifier: Apache-2.0
"""Password letters: what is on the page and where, what is nowhere else, and what is refused."""

import builtins
import io
import logging
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pypdf
import pytest
import reportlab

from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.core.passwords import Passwords
from sealpass.service import letter_pdf
from sealpass.service.database import Database
from sealpass.service.letter_password import make_initial_password
from sealpass.service.letter_pdf import Letter, Paper, check, render
from sealpass.service.password_repository import Outcome
from sealpass.service.policy import PasswordPolicy
from sealpass.service.repository import SqlPasswordRepository
from sealpass.service.storage import PasswordStorage
from tests.support.sealing import CHEAP, CountedKey, MemoryRing

PASSWORD = "7kfm-x3wd-bh9t-r4vc"
LETTER = Letter(
    recipient=("Señora Núñez", "Straße 17", "10115 Berlin"),
    sender=("Beispielbank", "Postfach 12", "60311 Frankfurt"),
    login="nunez@example.org",
    date=date(2026, 11, 22),
    place="Frankfurt",
)
VERA_BOLD = Path(reportlab.__file__).parent / "fonts" / "VeraBd.ttf"
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "letters.md").read_text(encoding="utf-8")
MM = 25.4 / 72


def read(octets: bytes) -> pypdf.PdfReader:
    """The PDF, parsed by another library."""
    return pypdf.PdfReader(io.BytesIO(octets), strict=True)


def positions(octets: bytes) -> dict[str, tuple[float, float]]:
    """Each text on the page with the millimetres from the left and the upper edge at which it begins."""
    (page,) = read(octets).pages
    found: dict[str, tuple[float, float]] = {}

    def visit(text: str, _: object, matrix: list[float], *__: object) -> None:
        if text.strip():
            found[text.strip()] = (matrix[4] * MM, (float(page.mediabox.height) - matrix[5]) * MM)

    page.extract_text(visitor_text=visit)
    return found


def refusal(**changes: Any) -> str:
    """What is said about a letter with these changes, by check() as by render()."""
    with pytest.raises(ConfigError) as caught:
        check(replace(LETTER, **changes))
    with pytest.raises(ConfigError, match=re.escape(str(caught.value))):
        render(replace(LETTER, **changes), PASSWORD)
    return str(caught.value)


@pytest.mark.parametrize("paper", list(Paper))
def test_one_page_holds_everything(paper: Paper) -> None:
    """One page of that paper, with every text and, in one piece, the password."""
    (page,) = read(render(LETTER, PASSWORD, paper=paper)).pages
    assert (round(page.mediabox.width * MM), round(page.mediabox.height * MM)) == {
        Paper.A4: (210, 297),
        Paper.LETTER: (216, 279),
    }[paper]
    lines = page.extract_text().splitlines()
    assert PASSWORD in lines
    text = " ".join(lines)
    for part in (*LETTER.recipient, *LETTER.sender, LETTER.login, *LETTER.before, LETTER.validity, *LETTER.after):
        assert part in text
    assert "Frankfurt, 2026-11-22" in lines


@pytest.mark.parametrize(
    ("paper", "left", "right", "top", "bottom"),
    [
        # DIN 5008 form B, the part of the field for addresses; and what a No. 10 window shows of a sheet at its foot.
        (Paper.A4, 20, 105, 62.7, 90),
        (Paper.LETTER, 25, 124, 52, 80),
    ],
)
def test_the_window_shows_the_address(paper: Paper, left: float, right: float, top: float, bottom: float) -> None:
    """A full address is inside, and the password far below it."""
    lines = tuple(f"line {number}" for number in range(paper.value.address_lines))
    found = positions(render(replace(LETTER, recipient=lines), PASSWORD, paper=paper))
    for line in lines:
        x, y = found[line]
        assert left <= x <= right
        assert top + 2 <= y <= bottom
    # The sheet has some play in its envelope.
    inside = [text for text, (x, y) in found.items() if left <= x <= right + 12 and top <= y <= 95]
    assert inside == list(lines)
    assert found[PASSWORD][1] > paper.value.folds[0]


def test_the_sender_stands_above_the_address() -> None:
    """In the window of A4, on two lines at most; ``return_line`` replaces it, and the empty one leaves it out."""
    line = "Beispielbank, Postfach 12, 60311 Frankfurt"
    x, y = positions(render(LETTER, PASSWORD))[line]
    assert x >= 20
    assert 45 <= y <= 62.7
    assert "Back to sender" in positions(render(replace(LETTER, return_line="Back to sender"), PASSWORD))
    assert line not in positions(render(replace(LETTER, return_line=""), PASSWORD))
    assert "return_line" in refusal(return_line="word " * 60)


def test_every_font_is_embedded() -> None:
    """The page looks the same everywhere."""
    (page,) = read(render(LETTER, PASSWORD, password_font=VERA_BOLD)).pages
    resources: Any = page["/Resources"]
    fonts = [font.get_object() for font in resources["/Font"].values()]
    assert len(fonts) == 2
    for font in fonts:
        assert "/FontFile2" in font["/FontDescriptor"]


def test_only_the_password_is_spaced_out() -> None:
    """The gaps between its characters do not go on in the lines below."""
    contents = read(render(LETTER, PASSWORD)).pages[0].get_contents()
    assert contents is not None
    operators = contents.get_data()
    assert operators.count(b" Tc") == 1
    assert b" Tc" not in re.sub(rb"(?m)^q$.*?^Q$", b"", operators, flags=re.DOTALL)


def test_the_password_is_on_the_page_only() -> None:
    """Neither in the metadata, nor in the clear anywhere in the file; the file's id does not depend on it."""
    octets = render(LETTER, PASSWORD)
    reader = read(octets)
    assert PASSWORD not in str(reader.metadata)
    assert reader.xmp_metadata is None
    assert PASSWORD.encode() not in octets
    other = read(render(LETTER, "bcdf-ghjk-mnpr-stvw"))
    assert reader.trailer["/ID"] == other.trailer["/ID"]
    assert reader.metadata == other.metadata
    assert reader.trailer["/ID"] != read(render(replace(LETTER, login="other"), PASSWORD)).trailer["/ID"]


def test_metadata() -> None:
    """The title is the subject, the author the sender, and the dates are the letter's."""
    metadata = read(render(LETTER, PASSWORD)).metadata
    assert metadata is not None
    assert metadata.title == "Your initial password"
    assert metadata.author == "Beispielbank"
    assert metadata.creator == "sealpass"
    assert metadata.creation_date_raw == metadata.modification_date_raw == "D:20261122000000Z"


def test_the_same_letter_is_the_same_octets() -> None:
    """Now and in several threads at once; another date is another file."""
    letters = [replace(LETTER, login=f"user-{number}") for number in range(8)]
    one_by_one = [render(letter, PASSWORD) for letter in letters]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda letter: render(letter, PASSWORD), letters)) == one_by_one
    assert len(set(one_by_one)) == 8
    assert render(replace(LETTER, date=date(2026, 11, 23)), PASSWORD) != render(LETTER, PASSWORD)


def test_one_thread_at_a_time_is_in_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps for the process is used, and a page is drawn and finished, with the lock held only."""
    held: list[bool] = []
    for owner, name in ((letter_pdf, "_font"), (letter_pdf._Page, "draw"), (letter_pdf._Page, "finish")):
        inner = getattr(owner, name)

        def watched(*arguments: Any, inner: Any = inner) -> Any:
            held.append(letter_pdf._REPORTLAB.locked())
            return inner(*arguments)

        monkeypatch.setattr(owner, name, watched)
    render(LETTER, PASSWORD)
    assert held == [True] * 4
    assert not letter_pdf._REPORTLAB.locked()


def test_nothing_is_written_or_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """No file is opened for writing, and no log tells which characters the password has."""
    written: list[object] = []
    opened, opened_low = builtins.open, os.open

    def watched(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        written.extend([file] if set(mode) & set("wax+") else [])
        return opened(file, mode, *rest, **named)

    def watched_low(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        written.extend([path] if flags & (os.O_WRONLY | os.O_RDWR) else [])
        return opened_low(path, flags, *rest, **named)

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(io, "open", watched)
    monkeypatch.setattr(os, "open", watched_low)
    with caplog.at_level(logging.DEBUG):
        render(LETTER, PASSWORD)
    monkeypatch.undo()
    assert written == []
    assert caplog.records == []


# -- characters ------------------------------------------------------------------------------------------------------


def test_what_the_font_cannot_show_is_refused() -> None:
    """By name and place, and never printed as something else."""
    assert refusal(recipient=("Żółć", "Berlin")) == (
        "the font BitstreamVeraSans-Roman cannot show U+017B LATIN CAPITAL LETTER Z WITH DOT ABOVE"
        " in recipient of the letter"
    )
    assert "U+0429 CYRILLIC CAPITAL LETTER SHCHA" in refusal(subject="Щ")
    assert refusal(after=("абвгде",)).count("CYRILLIC") == 5


@pytest.mark.skipif(not DEJAVU.exists(), reason="the font DejaVu Sans is not installed")
def test_another_font_shows_more() -> None:
    """With DejaVu Sans: Polish, Hungarian, Greek and Cyrillic names."""
    names = ("Żółć Ñuñez", "Őrsi Ödön", "Ωμέγα", "Щукин")
    letter = replace(LETTER, recipient=names)
    check(letter, font=DEJAVU)
    text = read(render(letter, PASSWORD, font=DEJAVU)).pages[0].extract_text()
    assert all(name in text for name in names)


def test_letters_are_composed() -> None:
    """A letter and its accent that come as two code points are printed as one."""
    assert "Núñez" in read(render(replace(LETTER, login="Nu\u0301n\u0303ez"), PASSWORD)).pages[0].extract_text()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("two\nlines", "U+000A"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE"),
        ("x\u0301y", "U+0301"),
        ("שלום", "U+05DC"),
        ("سلام", "U+0627"),
        ("\ud800", "U+D800"),
    ],
)
def test_what_would_be_set_wrongly_is_refused(text: str, named: str) -> None:
    """Line ends, what is invisible, accents that no letter has, and what runs from right to left: with any font."""
    with pytest.raises(ConfigError, match="before of a letter holds") as caught:
        replace(LETTER, before=("good", text))
    assert named in str(caught.value)


def test_a_space_that_does_not_break_is_a_space() -> None:
    """It is set, and lines do not break there."""
    assert "a b" in read(render(replace(LETTER, login="a\u00a0b"), PASSWORD)).pages[0].extract_text()


# -- lengths ---------------------------------------------------------------------------------------------------------


def test_long_lines_wrap() -> None:
    """Of the address and of paragraphs, inside their columns."""
    street = "Straße der Freundschaft zwischen den Völkern 17a, Hinterhaus links"
    found = positions(render(replace(LETTER, recipient=("Núñez", street)), PASSWORD))
    assert street not in found
    assert "Straße der Freundschaft zwischen den" in found
    assert "Völkern 17a, Hinterhaus links" in found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipient": ("line",) * 7}, "takes 7 lines"),
        ({"recipient": ("word " * 80,)}, "recipient"),
        ({"recipient": ("W" * 60,)}, "too long for a line"),
        ({"sender": ("line",) * 7}, "sender"),
        ({"place": "Llanfairpwllgwyngyll " * 5}, "place"),
        ({"login": "x" * 200}, "login"),
        ({"before": ("w" * 200,)}, "too long for a line"),
        ({"before": ("word",) * 60}, "one page"),
        ({"after": ("word " * 2000,)}, "one page"),
        ({"subject": "word " * 400}, "one page"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    """Nothing is cut off, and nothing runs over the edge or into the next part."""
    assert said in refusal(**changes)


def test_long_logins_are_set_smaller() -> None:
    """On one line inside the page."""
    login = "a.very.long.login.name.of.seventy.characters.and.more@department.example.org"
    (page,) = read(render(replace(LETTER, login=login), PASSWORD)).pages
    assert login in page.extract_text().splitlines()


def test_longer_passwords_are_set_smaller() -> None:
    """Down to 12 points; what is longer is refused, and not told."""
    password = make_initial_password(groups=6, group_length=5)
    assert password in read(render(LETTER, password)).pages[0].extract_text().splitlines()
    with pytest.raises(ConfigError) as caught:
        render(LETTER, PASSWORD * 4)
    assert PASSWORD not in repr(caught.value)


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": ()},
        {"recipient": ("", "Berlin")},
        {"recipient": "Berlin"},
        {"recipient": ["Berlin"]},
        {"recipient": (b"Berlin",)},
        {"sender": ()},
        {"login": " "},
        {"subject": ""},
        {"before": "text"},
        {"login": None},
        {"validity": None},
        {"return_line": 1},
        {"date": "2026-11-22"},
    ],
)
def test_incomplete_letters_are_refused(changes: dict[str, Any]) -> None:
    """When the letter is made, by the name of what is wrong."""
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(LETTER, **changes)


@pytest.mark.parametrize("password", ["", "two words", "line\nend", "Ż-secret", "a\u200bb", "\ud800"])
def test_passwords_that_cannot_be_printed_are_refused(password: str) -> None:
    """Without a word of the password."""
    with pytest.raises(ConfigError) as caught:
        render(LETTER, password)
    assert "U+" not in str(caught.value)
    assert not password or password not in str(caught.value)


def test_optional_parts() -> None:
    """Place, validity and paragraphs may be left out."""
    text = read(render(replace(LETTER, place="", validity="", before=(), after=()), PASSWORD)).pages[0].extract_text()
    assert "2026-11-22" in text.splitlines()
    assert "valid" not in text


@pytest.mark.parametrize("content", [b"", b"not a font", b"OTTO" + bytes(100), "truncated"])
def test_bad_fonts_are_refused(content: bytes | str, tmp_path: Path) -> None:
    """Whatever is wrong inside, the file is named."""
    file = tmp_path / "bad.ttf"
    file.write_bytes(VERA_BOLD.read_bytes()[:5000] if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=r"bad\.ttf"):
        check(LETTER, font=file)
    with pytest.raises(ConfigError, match=r"bad\.ttf"):
        check(LETTER, password_font=file)


def test_a_missing_font_is_refused(tmp_path: Path) -> None:
    """As any file that cannot be read."""
    with pytest.raises(ConfigError, match="cannot read the font"):
        check(LETTER, font=tmp_path / "none.ttf")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "reportlab", None)
    letter_pdf._font.cache_clear()
    with pytest.raises(MissingDependency) as caught:
        render(LETTER, PASSWORD)
    assert caught.value.extra == "letters"


# -- docs/letters.md -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_example_runs(source: str) -> None:
    """As it is printed, but for the fonts: the letter has the password with which the user logs in."""
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    fonts = re.findall(r'"(/usr/share/fonts/[^"]*)"', code)
    assert len(fonts) == 2
    for font in fonts:
        code = code.replace(f'"{font}"', repr(str(VERA_BOLD)))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    with Database(source) as database:
        ring = MemoryRing(CountedKey())
        repository = SqlPasswordRepository(PasswordStorage(database), Passwords(ring, hashing=CHEAP), PasswordPolicy())
        octets = names["letter_for_new_user"](repository, "id-1", "nunez", ("Señora Núñez", "10115 Berlin"))
        (password,) = re.findall(r"^\w{4}(?:-\w{4}){3}$", read(octets).pages[0].extract_text(), re.MULTILINE)
        login = repository.check("id-1", password)
        assert login.matches
        assert login.must_change
        with pytest.raises(LookupError, match=Outcome.EXISTS):
            names["letter_for_new_user"](repository, "id-1", "nunez", ("Señora Núñez", "10115 Berlin"))
        with pytest.raises(ConfigError):
            names["letter_for_new_user"](repository, "id-2", "nunez", ("Щукин",))
        assert not repository.check("id-2", password).matches


def test_the_guide_names_everything() -> None:
    """Every field of a letter and every paper."""
    names = {*LETTER.__dataclass_fields__, *(f"Paper.{paper.name}" for paper in Paper)}
    assert {name for name in names if f"`{name}`" not in GUIDE} == set()


@pytest.mark.parametrize("font", [None, DEJAVU.with_name("DejaVuSansMono-Bold.ttf")])
@pytest.mark.parametrize("mode", [[], ["-layout"], ["-raw"]])
def test_the_password_is_copied_without_blanks(tmp_path: Path, font: Path | None, mode: list[str]) -> None:
    """By a reader that takes wide gaps for spaces: what is pasted into a login form works."""
    if (program := shutil.which("pdftotext")) is None:
        pytest.skip("pdftotext is not installed")
    path = tmp_path / "letter.pdf"
    for password in (PASSWORD, "9354-kb3g-twch-9wft"):
        path.write_bytes(render(LETTER, password, password_font=font))
        text = subprocess.run([program, *mode, str(path), "-"], capture_output=True, check=True, text=True).stdout
        assert password in [line.strip() for line in text.splitlines()]
