"""Header cards as FITS has them, 80 characters each: of own values, and those of a camera that keep to the standard.

astropy's own `Card` takes ten times as long, which counts where each calibrated frame has a hundred.
"""

import math
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.io.fits import HDUList


CARD_CHARACTERS, KEYWORD_CHARACTERS, NUMBER_CHARACTERS = 80, 8, 20
TEXT_CHARACTERS = 68  # of a text in one card
LINE_CHARACTERS = 72  # of a line of HISTORY or COMMENT
COMMENTARY = ("COMMENT", "HISTORY")
CONTINUE = "CONTINUE"
MOST_CONTINUED = 20  # cards of one long text

Value = str | int | float | bool | None

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[ED][+-]?(?:\d{1,2}|[12]\d\d))?"
_TEXT = r"'(?:[^']|'')*'"
_VALUED = re.compile(rf"[A-Z0-9_-]{{1,8}} *= +(?:{_TEXT}|[TF]|{_NUMBER}) *(?:/.*)?")
# No quote in the comment: programs differ in where a text ends then.
_PLAIN = re.compile(rf"([A-Z0-9_-]{{1,8}}) *= +(?:({_TEXT})|([TF])|({_NUMBER})) *(?:/[^']*)?")
_GOES_ON = re.compile(r"(?:.{8}=|CONTINUE ) *'(?:[^']|'')*&' *(?:/.*)?")
_CONTINUED = re.compile(rf"CONTINUE  +{_TEXT} *(?:/.*)?")
_PRINTABLE = re.compile(r"[ -~]{80}")


def card(keyword: str, value: Value, comment: str = "") -> str:
    """A card; empty for a value that is not known or no finite number.

    Text is cut to what one card holds; characters that FITS has not are written as escapes. A comment that has no room
    is cut too.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        shown = f"{'T' if value else 'F':>{NUMBER_CHARACTERS}}"
    elif isinstance(value, str):
        shown = f"'{_quoted(value):<8}'".ljust(NUMBER_CHARACTERS)
    else:
        shown = f"{repr(value).upper():>{NUMBER_CHARACTERS}}"
    text = f"{keyword:<{KEYWORD_CHARACTERS}}= {shown}"
    if comment:
        text += f" / {comment}"
    return text[:CARD_CHARACTERS].ljust(CARD_CHARACTERS)


def lines(keyword: str, text: str) -> str:
    """Cards of HISTORY or COMMENT, as many as the text needs; words stay whole where they fit."""
    text = _ascii(text)
    is_one = 0 < len(text) <= LINE_CHARACTERS
    parts = [text] if is_one else textwrap.wrap(text, LINE_CHARACTERS, break_on_hyphens=False)
    return "".join(f"{keyword:<{KEYWORD_CHARACTERS}}{part}".ljust(CARD_CHARACTERS) for part in parts)


def sound_cards(header: str) -> Iterator[tuple[str, str]]:
    """(keyword, card) of each card of a header that keeps to the standard; a long text is one with its continuations.

    Cards with characters that FITS has not, without a value, or with one that not all programs can read are left out.
    """
    cards = _cards_of(header)
    for number, text in enumerate(cards):
        keyword = text[:KEYWORD_CHARACTERS].rstrip()
        if _PRINTABLE.fullmatch(text) and (keyword in COMMENTARY or _VALUED.fullmatch(text)):
            yield keyword, text + "".join(_continuations(text, cards[number + 1 : number + 1 + MOST_CONTINUED]))


def plain_lines(header: str) -> str | None:
    """The cards of a header, one a line, where all keep to the standard; astropy would look whether to mend each."""
    cards = _before_end(header)
    return "\n".join(cards) if all(_PRINTABLE.fullmatch(text) and _is_plain(text) for text in cards) else None


def _is_plain(text: str) -> bool:
    keyword = text[:KEYWORD_CHARACTERS].rstrip()
    return keyword in COMMENTARY or (keyword != CONTINUE and _PLAIN.fullmatch(text) is not None)


def plain_values(header: str) -> dict[str, Value]:
    """Values by keyword as astropy tells them, of cards that keep to the standard and stand alone.

    Keywords that come twice, and texts that go on in a further card or tell of several fields, are left to astropy.
    """
    found: dict[str, Value] = {}
    left = {*COMMENTARY, CONTINUE, "HIERARCH", ""}
    cards = _before_end(header)
    for text, following in zip_longest(cards, cards[1:], fillvalue=""):
        keyword = text[:KEYWORD_CHARACTERS].rstrip()
        if keyword in left:
            continue
        alone = text[KEYWORD_CHARACTERS : KEYWORD_CHARACTERS + 2] == "= " and not following.startswith(CONTINUE)
        card_text = _PLAIN.fullmatch(text) if alone and _PRINTABLE.fullmatch(text) else None
        value = None if card_text is None else _plain_value(*card_text.groups()[1:])
        if keyword in found or value is None:
            left.add(keyword)
            found.pop(keyword, None)
        else:
            found[keyword] = value
    return found


def _cards_of(header: str) -> list[str]:
    return [header[start : start + CARD_CHARACTERS] for start in range(0, len(header), CARD_CHARACTERS)]


def _before_end(header: str) -> list[str]:
    cards = _cards_of(header)
    return cards[: next((number for number, text in enumerate(cards) if text.rstrip() == "END"), len(cards))]


def _plain_value(text: str | None, logical: str | None, number: str | None) -> Value:
    if text is not None:
        value = text[1:-1].rstrip().replace("''", "'")
        return None if value.endswith("&") or ":" in value.partition(" ")[0][-1:] else value
    if number is not None:
        digits = number.replace("D", "E")
        return int(digits) if digits.lstrip("+-").isdigit() else float(digits)
    return logical == "T"


def card_values(image: Any) -> dict[str, Any]:
    """Values by keyword of an HDU, of a keyword that comes twice the first; a card that cannot be read is left out."""
    from astropy.io.fits import VerifyError

    found: dict[str, Any] = {}
    for card in image.header.cards:
        with suppress(VerifyError, ValueError):
            found.setdefault(card.keyword, card.value)
    return found


def header_text(hdus: "HDUList", image: Any) -> str:
    """Cards of an image's header as they stand in an opened file, and those of the primary header behind them."""
    return _card_text(image) + ("" if image is hdus[0] else _card_text(hdus[0]))


def _card_text(hdu: Any) -> str:
    """The cards of an HDU: astropy would mend each, at ten times the cost.

    The header of a compressed image is none of the file's.
    """
    from astropy.io.fits import CompImageHDU

    if isinstance(hdu, CompImageHDU):
        text: str = hdu.header.tostring(endcard=False, padding=False)
        return text
    where = hdu.fileinfo()
    where["file"].seek(where["hdrLoc"])
    blocks: bytes = where["file"].read(where["datLoc"] - where["hdrLoc"])
    return blocks.decode("latin-1")


def _continuations(text: str, following: list[str]) -> Iterator[str]:
    for card_text in following:
        if not (_GOES_ON.fullmatch(text) and _CONTINUED.fullmatch(card_text) and _PRINTABLE.fullmatch(card_text)):
            return
        yield card_text
        text = card_text


def _quoted(text: str) -> str:
    """Text within its quotes, cut so that no doubled quote is cut in two."""
    cut = _ascii(text).replace("'", "''")[:TEXT_CHARACTERS]
    return cut[:-1] if (len(cut) - len(cut.rstrip("'"))) % 2 else cut


def _ascii(text: str) -> str:
    plain = " ".join(text.split())
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(c if c.isprintable() and c.isascii() else c.encode("unicode_escape").decode() for c in plain)
