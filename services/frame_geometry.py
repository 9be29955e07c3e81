"""How a frame is read out of its file, as its row keeps it: text in one form only, and words that tell it apart."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.detector.readout import Readout
from services.choices import canonical
from services.errors import ConfigurationError

PLANE, PLANE_STEP = "plane ", 2  # a colour's name follows; pixels of the file from one of its pixels to the next
WORDS_LENGTH, MARK_LENGTH = 64, 6  # characters of the words, as wide as their column; of a digest in them

_PLANE = re.compile(rf"\b{PLANE}(\w+)")
_SIZE = re.compile(r"(?:^|, )\d+ x \d+ pixels$", re.ASCII)


@cache
def _adapter() -> TypeAdapter[Readout]:
    return TypeAdapter(Readout)


def geometry_text(readout: Readout | None) -> str | None:
    """Canonical JSON; None of a frame that is the first image of its file."""
    return None if readout is None else canonical(_plain(readout))


def _plain(readout: Readout) -> dict[str, Any]:
    values: dict[str, Any] = _adapter().dump_python(readout, mode="json", exclude_defaults=True)
    return values


@cache
def readout_of(text: str | None) -> Readout | None:
    """The read-out that a row keeps.

    Raises:
        ConfigurationError: this version does not understand it.
    """
    if text is None:
        return None
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise ConfigurationError(
            f"a frame's geometry cannot be read ({text[:200]!r}): it was registered by another version of Tianyu; "
            "ingest its folder again"
        ) from error


def geometry_words(readout: Readout | None, plane: str = "", origin: tuple[int, int] | None = None) -> str:
    """What frames share that are combined or calibrated with each other; empty of a whole first image.

    Args:
        readout: of the frame.
        plane: name of its colour.
        origin: (x, y), from 1, of the detector's pixel that is the file's first, where that is not the detector's.
    """
    parts: list[str] = []
    if readout is not None:
        parts += _of_amplifiers(readout)
        if any(amplifier.overscan is not None for amplifier in readout.amplifiers):
            parts.append("overscan")
    if origin is not None:
        parts.append(f"from {origin[0]},{origin[1]}")
    if plane:
        parts.append(PLANE + plane)
    return _bounded(", ".join(parts))


def plane_of(words: str) -> str:
    """Name of the colour of frames that are one of a colour camera's planes; empty of all others."""
    found = _PLANE.search(words)
    return "" if found is None else found[1]


def with_size(words: str, shape: tuple[int, int]) -> str:
    """The words of frames of shape (ny, nx), where frames of another shape have the same words."""
    return _bounded(", ".join(part for part in (words, f"{shape[1]} x {shape[0]} pixels") if part))


def without_size(words: str) -> str:
    """How frames are read out, whatever their size; sizes are compared as such."""
    return _SIZE.sub("", words)


def is_plane(words: str) -> bool:
    """Whether frames of these words have one colour of a colour camera."""
    return PLANE in words


def _of_amplifiers(readout: Readout) -> Iterable[str]:
    if len(readout.amplifiers) == 1:
        amplifier, left = readout.amplifiers[0], readout.left
        data = amplifier.data
        if left.shape != readout.shapes[amplifier.image]:
            x, y = data.x0 + left.x0, data.y0 + left.y0
            yield f"trim {x + 1}:{x + left.shape[1]},{y + 1}:{y + left.shape[0]}"
    else:
        mark = hashlib.blake2b(canonical(_plain(readout)["amplifiers"]).encode()).hexdigest()[:MARK_LENGTH]
        yield f"{len(readout.amplifiers)} amplifiers {mark}"
        if readout.cut is not None:
            yield f"cut {readout.cut}"


def _bounded(words: str) -> str:
    if len(words) <= WORDS_LENGTH:
        return words
    mark = hashlib.blake2b(words.encode()).hexdigest()[:MARK_LENGTH]
    return f"{words[: WORDS_LENGTH - MARK_LENGTH - 1]} {mark}"
