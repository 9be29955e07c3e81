"""Names of data sets: what ObsCore calls them, what DataLink and SODA are asked for."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from services.whole_numbers import LARGEST, whole_number

PREFIX = "ivo://tianyu.local/data?"
STAR, IMAGE, CURVE = "star", "image", "curve"
_PARTS = re.compile(rf"{re.escape(PREFIX)}(?:(star|image)/(\d+)|(curve)/(\d+)/(\d+))", re.ASCII)


@dataclass(frozen=True)
class Named:
    """What an identifier names: a star, an image or a curve, which alone has an ``observation``."""

    kind: str
    number: int
    observation: int | None = None


def did(kind: str, *numbers: int) -> str:
    """The identifier of a data set."""
    return f"{PREFIX}{'/'.join((kind, *map(str, numbers)))}"


def start_of(kind: str, *, is_quoted: bool = False) -> str:
    """What stands before the numbers; ``is_quoted``: within an address."""
    words = f"{PREFIX}{kind}/"
    return quote(words, safe="") if is_quoted else words


def named(words: str) -> Named | None:
    """What is meant; a number alone is a star. None where it cannot be any of them."""
    number = whole_number(words)
    if number is not None:
        return Named(STAR, number)
    found = _PARTS.fullmatch(words)
    if found is None:
        return None
    numbers = [whole_number(one, LARGEST) for one in (found[2], found[4], found[5]) if one is not None]
    if None in numbers:
        return None
    if found[3]:
        observation, star = numbers
        assert star is not None
        return Named(CURVE, star, observation)
    [one] = numbers
    assert one is not None
    return Named(IMAGE if found[1] == IMAGE else STAR, one)
