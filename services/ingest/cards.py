"""Values of header cards, whatever state they are in: text, numbers, comments; what is unset or broken is None."""

import math
import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

from astropy.io import fits

NAME_LENGTH = 64  # characters of a name that are kept, as wide as the tables' columns

_PLAIN = re.compile(r"[A-Z][A-Z0-9_-]*")  # a keyword that is looked up as it stands
_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+)", re.ASCII)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d{1,3})?)\s*((?:[A-Za-z][A-Za-z/-]*)?)", re.ASCII)


def printable(text: str) -> str:
    """The text on one line without control characters, blanks collapsed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class FrameHeader(fits.Header):
    """A header that is whole: it knows at once what it has not, for it is asked for ten times as much as it has.

    And each value is made of its card once, not at each of the ten times that a frame's facts ask for it.
    """

    @cached_property
    def known(self) -> frozenset[str]:
        """Its keywords, as they are looked up."""
        return frozenset(key.upper() for key in self.keys())  # type: ignore[no-untyped-call]

    @cached_property
    def values_told(self) -> dict[str, Any]:
        """Values that were asked for, by keyword."""
        return {}

    @cached_property
    def comments_told(self) -> dict[str, str]:
        """Comments that were asked for, by keyword."""
        return {}

    def lacks(self, key: str) -> bool:
        """Whether it cannot have a keyword, which is told sooner than by asking for it."""
        return key not in self.known and _is_plain(key)


@lru_cache(maxsize=4096)
def _is_plain(key: str) -> bool:
    return _PLAIN.fullmatch(key) is not None


def raw(header: fits.Header, key: str) -> Any:
    """Value of a card, None where it is missing or undefined; a card that breaks the standard gives its text."""
    if not isinstance(header, FrameHeader):
        return _value(header, key)
    told = header.values_told
    if key not in told:
        told[key] = None if header.lacks(key) else _value(header, key)
    return told[key]


def _value(header: fits.Header, key: str) -> Any:
    try:
        value = header.get(key)
    except fits.VerifyError:
        image = header.cards[key].image
        return image[10:].split(" /")[0].strip().strip("'")
    return None if isinstance(value, fits.card.Undefined) else value


def text(header: fits.Header, keys: Iterable[str], length: int = NAME_LENGTH) -> str | None:
    """The first of ``keys`` that says something, as printable text of at most ``length`` characters."""
    for key in keys:
        value = raw(header, key)
        if value is None or isinstance(value, bool):
            continue
        if cleaned := printable(str(value))[:length].strip():
            return cleaned
    return None


def as_number(value: Any, units: Iterable[str] = ()) -> float | None:
    """A finite number, also out of text: ``'60.0'``, ``'60,0'``, ``'60 s'`` when ``s`` is among ``units``."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    found = _NUMBER.fullmatch(_DECIMAL_COMMA.sub(r"\1.\2", str(value).strip().strip("'\"").strip()))
    if found is None or found[2].lower() not in ("", *units):
        return None
    number = float(found[1].replace("d", "e").replace("D", "e"))
    return number if math.isfinite(number) else None


def number(
    header: fits.Header, keys: Iterable[str], low: float, high: float, units: Iterable[str] = ()
) -> tuple[float | None, str | None]:
    """The first of ``keys`` with a number in [low, high]: (value, key), or (None, None)."""
    for key in keys:
        value = as_number(raw(header, key), units)
        if value is not None and low <= value <= high:
            return value, key
    return None, None


def comment(header: fits.Header, key: str) -> str:
    """Comment of a card in lower case, empty if there is none."""
    if not isinstance(header, FrameHeader):
        return _comment(header, key)
    told = header.comments_told
    if key not in told:
        told[key] = "" if header.lacks(key) else _comment(header, key)
    return told[key]


def _comment(header: fits.Header, key: str) -> str:
    try:
        return str(header.comments[key]).lower()
    except (KeyError, fits.VerifyError):
        return ""


def decimals(header: fits.Header, key: str) -> int:
    """Decimal places as written: what the header's own rounding hides."""
    found = re.match(r"[\s']*[+-]?\d*\.?(\d*)", str(header.cards[key].image)[10:], re.ASCII)
    return len(found[1]) if found else 0
