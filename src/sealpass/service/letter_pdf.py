# SPDX-License-Identifier: Apache-2.0
"""A password letter as PDF: one page for a window envelope, made in memory, with its font inside.

Everything that can be wrong with a letter is an error, and check() finds it before a password is issued: nothing is
cut off, printed beside the window or replaced by a question mark. ReportLab makes the PDF (extra ``letters``).
"""

import hashlib
import io
import threading
import unicodedata
from dataclasses import dataclass, fields
from datetime import date
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.service.letter_password import ALPHABET, SEPARATOR

if TYPE_CHECKING:
    from reportlab.pdfbase.ttfonts import TTFont

_MM = 72 / 25.4  # points
_FONT_HINT = "give a TrueType font that has them, such as DejaVu Sans"
_GAP = 0.09
"""Between the characters of the password, in em: neighbours do not run into one letter (rn, vv). From 0.1 on, readers
take a gap for a space, which nobody should copy."""
_SMALLEST_LOGIN, _SMALLEST_PASSWORD = 9, 12  # points
# ReportLab's registry of fonts and what it reads from a font file belong to the process.
_REPORTLAB = threading.Lock()


@dataclass(frozen=True, slots=True)
class Letter:
    """All of a letter but the password. Raises ConfigError where a text is missing, or cannot be set.

    Texts are brought into NFC. Those in English are defaults: write them in the language of whoever reads them. No text
    may need right-to-left or complex setting (Arabic, Hebrew, Thai, Devanagari).
    """

    recipient: tuple[str, ...]
    """Name and postal address, a line each."""
    sender: tuple[str, ...]
    login: str
    """What the user types as login name."""
    date: date
    place: str = ""
    """Printed before the date, which is printed as ISO 8601 has it."""
    return_line: str | None = None
    """The sender in small type above the address in the window (A4); default: the lines of ``sender``."""
    subject: str = "Your initial password"
    before: tuple[str, ...] = ("An account was opened for you. Log in with this name and this initial password:",)
    """Paragraphs."""
    login_label: str = "Login name"
    password_label: str = "Initial password"  # noqa: S105 - what is printed above it
    validity: str = "The initial password is valid for 30 days from the date of this letter."
    after: tuple[str, ...] = (
        "It has small letters, the digits 2 to 9, hyphens (which are part of it), and no blanks.",
        "At your first login you will be asked to choose a password of your own. Then destroy this letter.",
        "Never tell anybody this password, us included. If the envelope came open, call us before you log in.",
    )
    """Paragraphs."""

    def __post_init__(self) -> None:
        if not isinstance(self.date, date):
            raise ConfigError("date of a letter is a date")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == tuple[str, ...]:
                if not isinstance(value, tuple):
                    raise ConfigError(f"{field.name} of a letter is a tuple of texts")
                object.__setattr__(self, field.name, tuple(_text(field.name, line) for line in value))
            elif field.type is str or (field.name == "return_line" and value is not None):
                object.__setattr__(self, field.name, _text(field.name, value))
        for name in ("recipient", "sender", "login", "subject"):
            value = getattr(self, name)
            if not value or not all(value):
                raise ConfigError(f"a letter needs its {name}")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Where things stand, in millimetres from the left and upper edge."""

    width: float
    height: float
    address: tuple[float, float]
    """Left, and top of the first line."""
    address_lines: int
    address_width: float
    return_lines: int
    """How many there is room for above the address, in the window."""
    folds: tuple[float, float]
    left: float = 25.0
    right: float = 20.0
    bottom: float = 15.0
    column: tuple[float, float] = (125.0, 15.0)
    """Left and top of the sender's block."""
    column_lines: int = 6
    date: float = 81.0
    """Its baseline, in the same column."""
    subject: float = 101.0

    @property
    def text_width(self) -> float:
        return self.width - self.left - self.right


class Paper(Enum):
    """The sheet, and the envelope that it is folded for."""

    A4 = _Sheet(
        width=210,
        height=297,
        # DIN 5008 form B: a field of 85 x 45 mm at (20, 45), its last 27.3 mm for six lines of address.
        address=(25.0, 62.7),
        address_lines=6,
        address_width=78.0,
        return_lines=2,
        folds=(105.0, 210.0),
    )
    """A4 as in DIN 5008, form B, for DL and C6/5 with a window on the left."""
    LETTER = _Sheet(
        width=215.9,
        height=279.4,
        # A window of 4 1/2 x 1 1/8 inch, 7/8 from the left and 1/2 from the bottom of the envelope, less the play.
        address=(25.4, 53.0),
        address_lines=5,
        address_width=78.0,
        return_lines=0,  # there is no room for it; such envelopes have the sender printed, or a window for it
        folds=(93.1, 186.3),
        column=(140.0, 15.0),  # outside such a window, which is wide
    )
    """US Letter in three equal parts, for a No. 10 envelope with the usual window."""


def check(
    letter: Letter, *, paper: Paper = Paper.A4, font: Path | None = None, password_font: Path | None = None
) -> None:
    """Raise what render() would raise, whatever initial password of the default form is issued afterwards."""
    render(letter, ALPHABET + SEPARATOR, paper=paper, font=font, password_font=password_font)


def render(
    letter: Letter,
    password: str,
    *,
    paper: Paper = Paper.A4,
    font: Path | None = None,
    password_font: Path | None = None,
) -> bytes:
    """The letter as PDF, with ``password`` (secret) on it and so a secret itself. The same input makes the same octets.

    ``font`` and ``password_font`` are files with TrueType outlines, read once a process. The default of the one,
    Bitstream Vera Sans, has the letters of Western Europe; the default of the other is the one. Thread-safe. Raises
    ConfigError, and MissingDependency without the extra ``letters``.
    """
    if not password or not all(_is_printable(character) and not character.isspace() for character in password):
        raise ConfigError("a password on a letter has printable characters and no spaces")
    with _REPORTLAB:
        page = _Page(letter, paper.value, _font(font), _font(password_font or font))
        page.draw(letter, password)
        return page.finish()


class _Page:
    """One page, filled from the top. Lengths are millimetres, type sizes points, heights those of baselines."""

    def __init__(self, letter: Letter, sheet: _Sheet, font: "TTFont", password_font: "TTFont") -> None:
        from reportlab.pdfgen.canvas import Canvas

        self._sheet = sheet
        self._font = font
        self._password_font = password_font
        self._output = io.BytesIO()
        self._canvas = Canvas(
            self._output,
            pagesize=(sheet.width * _MM, sheet.height * _MM),
            pageCompression=1,
            invariant=1,
            initialFontName=font.fontName,  # type: ignore[arg-type]  # the stubs have the type of a size here
        )
        self._canvas.setTitle(letter.subject)
        self._canvas.setAuthor(letter.sender[0])
        self._canvas.setSubject("")
        self._canvas.setCreator("sealpass")
        # ReportLab takes a fast hash of all that is on the page, from which a password could be guessed.
        identity = hashlib.sha256(repr(letter).encode()).hexdigest()[:32]
        self._canvas._doc._ID = f"\n[<{identity}><{identity}>]\n".encode()  # type: ignore[attr-defined]  # noqa: SLF001 - it has no setting
        # Neither the time of this run nor ReportLab's invariant one, of the year 2000.
        self._canvas.setDateFormatter(lambda *_: f"D:{letter.date:%Y%m%d}000000Z")

    def finish(self) -> bytes:
        """The PDF."""
        self._canvas.showPage()
        self._canvas.save()
        return self._output.getvalue()

    def draw(self, letter: Letter, password: str) -> None:
        """Everything that is on the page."""
        self._refuse_missing_glyphs(letter, password)
        sheet = self._sheet
        for height in sheet.folds:
            self._rule(5.0, height, 4.0)
        self._window(letter)
        left, top = sheet.column
        width = sheet.width - sheet.right - left
        self._lines("sender", self._wrapped("sender", letter.sender, 9, width), (left, top), 9, sheet.column_lines)
        date_line = ", ".join(filter(None, (letter.place, letter.date.isoformat())))
        self._lines("place", self._wrapped("place", (date_line,), 10, width), (left, sheet.date - 3.8), 10, 2)
        y = self._paragraph("subject", letter.subject, sheet.subject, 13) + 5.0
        y = self._paragraphs("before", letter.before, y) + 3.0
        y = self._paragraph("login_label", letter.login_label, y, 9) + 1.6
        y = self._login(letter.login, y - 2.0) + 10.0
        y = self._paragraph("password_label", letter.password_label, y, 9)
        y = self._password(password, y) + 7.0
        y = self._paragraphs("validity", (letter.validity,), y) if letter.validity else y
        y = self._paragraphs("after", letter.after, y)
        if y - 7.5 > sheet.height - sheet.bottom:
            raise ConfigError("the letter does not fit on one page", hint="shorten its paragraphs")

    # -- parts -----------------------------------------------------------------------------------------------------

    def _window(self, letter: Letter) -> None:
        """What the window of the envelope shows."""
        sheet = self._sheet
        left, top = sheet.address
        if sheet.return_lines:
            text = ", ".join(letter.sender) if letter.return_line is None else letter.return_line
            lines = self._wrapped("return_line", (text,), 7, sheet.address_width) if text else []
            foot = top - 3.0
            self._lines("return_line", lines, (left, foot - 0.5 - len(lines) * _leading(7)), 7, sheet.return_lines)
            self._rule(left, foot, sheet.address_width)
        lines = self._wrapped("recipient", letter.recipient, 10.5, sheet.address_width)
        self._lines("recipient", lines, (left, top), 10.5, sheet.address_lines)

    def _password(self, password: str, y: float) -> float:
        """In a frame below ``y``, large, with letters apart; answers the foot of the frame."""
        sheet, padding, height = self._sheet, 6.0, 17.0
        ems = self._password_font.stringWidth(password, 1) + _GAP * (len(password) - 1)
        size = min(26.0, (sheet.text_width - 2 * padding) * _MM / ems)
        if size < _SMALLEST_PASSWORD:
            raise ConfigError("the password is too long to be read from a letter", hint="fewer or shorter groups")
        top, left = y - 1.5, sheet.left * _MM
        canvas = self._canvas
        canvas.setLineWidth(0.6)
        canvas.rect(left, self._up(top + height), ems * size + 2 * padding * _MM, height * _MM)
        canvas.saveState()  # or the last gap would spread the lines below
        # One text object, so that whoever copies the password, or has it read aloud, gets it in one piece.
        text = canvas.beginText(left + padding * _MM, self._up(top + height / 2) - 0.3 * size)
        text.setFont(self._password_font.fontName, size)
        text.setCharSpace(_GAP * size)
        text.textOut(password)
        canvas.drawText(text)
        canvas.restoreState()
        return top + height

    def _paragraphs(self, name: str, paragraphs: tuple[str, ...], y: float) -> float:
        for text in paragraphs:
            y = self._paragraph(name, text, y, 10.5) + 2.5
        return y

    def _paragraph(self, name: str, text: str, y: float, size: float) -> float:
        """Answers the next baseline."""
        for line in self._wrapped(name, (text,), size, self._sheet.text_width):
            self._line(line, (self._sheet.left, y), size)
            y += 1.35 * size / _MM
        return y

    # -- lines -----------------------------------------------------------------------------------------------------

    def _lines(self, name: str, lines: list[str], start: tuple[float, float], size: float, most: int) -> None:
        """A block that begins at the height ``start[1]``."""
        if len(lines) > most:
            raise ConfigError(f"{name} of the letter takes {len(lines)} lines, and there is room for {most}")
        for number, line in enumerate(lines):
            self._line(line, (start[0], start[1] + (number + 0.8) * _leading(size)), size)

    def _login(self, login: str, y: float) -> float:
        """On one line, since a break would be typed; as large as there is room for. Answers its baseline."""
        width = self._sheet.text_width
        size = min(16.0, 16.0 * width / self._width(login, 16))
        if size < _SMALLEST_LOGIN:
            raise ConfigError("login of the letter is too long for one line")
        y += 0.75 * size / _MM
        self._line(login, (self._sheet.left, y), size)
        return y

    def _wrapped(self, name: str, texts: tuple[str, ...], size: float, width: float) -> list[str]:
        """Cut into lines at spaces; raises ConfigError where a word is wider than a line."""
        lines: list[str] = []
        for text in texts:
            line = ""
            for word in text.split(" "):
                longer = f"{line} {word}" if line else word
                if self._width(longer, size) <= width:
                    line = longer
                    continue
                if self._width(word, size) > width:
                    raise ConfigError(f"{name} of the letter has a word that is too long for a line: {word[:20]}…")
                lines.append(line)
                line = word
            lines.append(line)
        return lines

    def _line(self, text: str, start: tuple[float, float], size: float) -> None:
        self._canvas.setFont(self._font.fontName, size)
        self._canvas.drawString(start[0] * _MM, self._up(start[1]), text)

    def _rule(self, x: float, y: float, length: float) -> None:
        self._canvas.setLineWidth(0.3)
        self._canvas.line(x * _MM, self._up(y), (x + length) * _MM, self._up(y))

    def _width(self, text: str, size: float) -> float:
        return self._font.stringWidth(text, size) / _MM

    def _up(self, y: float) -> float:
        """PDF counts from the lower edge, in points."""
        return (self._sheet.height - y) * _MM

    def _refuse_missing_glyphs(self, letter: Letter, password: str) -> None:
        shown = _shown(self._font)
        for field in fields(letter):
            value = getattr(letter, field.name)
            missing = set("".join(value)) - shown if isinstance(value, str | tuple) else set()
            if missing:
                font = self._font.face.name.decode("ascii", "replace")
                raise ConfigError(
                    f"the font {font} cannot show {_named(missing)} in {field.name} of the letter", hint=_FONT_HINT
                )
        if not _shown(self._password_font).issuperset(password):
            raise ConfigError("the font cannot show the password", hint=_FONT_HINT)


def _shown(font: "TTFont") -> set[str]:
    """The characters that a font has, and the space that does not break, which ReportLab sets as the other one."""
    return {chr(code) for code in font.face.charToGlyph} | {"\u00a0"}


def _leading(size: float) -> float:
    """From line to line of a block of that type size, in millimetres."""
    return 1.22 * size / _MM


def _text(name: str, value: object) -> str:
    """In NFC, without spaces around; raises ConfigError for what would not be set as it is written."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} of a letter is text")
    text = unicodedata.normalize("NFC", value.strip())
    refused = {character for character in text if not _is_printable(character)}
    if refused:
        raise ConfigError(f"{name} of a letter holds what cannot be printed as it is: {_named(refused)}")
    return text


def _is_printable(character: str) -> bool:
    """No control or format character, no line end, no mark to be placed on a letter, nothing from right to left."""
    category = unicodedata.category(character)
    return (
        category[0] not in "CM"
        and category not in ("Zl", "Zp")
        and unicodedata.bidirectional(character) not in ("R", "AL", "AN")
    )


def _named(characters: set[str]) -> str:
    """At most five of them, by code and name: they may look like others, or like nothing."""
    names = [f"U+{ord(one):04X} {unicodedata.name(one, '')}".rstrip() for one in sorted(characters)]
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")  # noqa: PLR2004 - as the docstring says


@lru_cache(maxsize=8)
def _font(path: Path | None) -> "TTFont":
    """The font of that file, known to ReportLab by its path. Call it with the lock held."""
    try:
        import reportlab
        from reportlab.pdfbase import pdfmetrics, ttfonts
    except ModuleNotFoundError as error:
        raise MissingDependency("letters", error.name or "reportlab") from None
    file = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf" if path is None else path
    try:
        octets = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the font {file}: {error.strerror}") from None
    try:
        # All of ASCII goes into the PDF's part of the font, whichever of it the password holds.
        font = ttfonts.TTFont(f"sealpass {file}", io.BytesIO(octets), asciiReadable=True)
        pdfmetrics.registerFont(font)
    except Exception:  # noqa: BLE001 - a damaged file ends its parser in many ways
        raise ConfigError(
            f"the font {file} cannot be used", hint="it takes a file with TrueType outlines that may be embedded"
        ) from None
    return font
