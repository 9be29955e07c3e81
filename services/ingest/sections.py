"""Sections of an image as headers write them after IRAF: ``[x1:x2,y1:y2]``, counted from 1, the last pixel included."""

import re
from dataclasses import dataclass

from astropy.io import fits

from pipeline.detector.readout import Window
from services.ingest import cards

_SECTION = re.compile(r"\[?(\d{1,6}):(\d{1,6}),(\d{1,6}):(\d{1,6})\]?", re.ASCII)
_UNSET = re.compile(r"\[?(n/?a|unknown|none|undef(ined)?|0+:0+,0+:0+|)\]?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Section:
    """A window of an image, and whether the header counts it backwards in x, in y."""

    window: Window
    flip: tuple[bool, bool] = (False, False)


def section(header: fits.Header, key: str) -> Section | None:
    """The section of a card; None where it says nothing.

    Raises:
        ValueError: it says something that is no section.
    """
    written = "".join(str(cards.raw(header, key) or "").split())
    if _UNSET.fullmatch(written):
        return None
    found = _SECTION.fullmatch(written)
    numbers = [] if found is None else [int(part) for part in found.groups()]
    if not numbers or min(numbers) < 1:
        said = cards.printable(written)[: cards.NAME_LENGTH]
        raise ValueError(f"{key} {said!r} is no section: expected [x1:x2,y1:y2], counted from 1")
    x1, x2, y1, y2 = numbers
    window = Window(min(x1, x2) - 1, max(x1, x2), min(y1, y2) - 1, max(y1, y2))
    return Section(window, (x1 > x2, y1 > y2))


def section_within(header: fits.Header, key: str, shape: tuple[int, int], binning: str) -> Section | None:
    """The section of a card that lies in an image of this shape (ny, nx); None where the card says nothing.

    Some cameras write the unbinned detector's pixels into headers of binned frames: what fits only so is taken so.

    Raises:
        ValueError: it is no section, or lies in the image neither so nor so.
    """
    found = section(header, key)
    if found is None:
        return None
    whole = Window(0, shape[1], 0, shape[0])
    if whole.holds(found.window):
        return found
    bx, by = (int(factor) for factor in binning.split("x"))
    w = found.window
    binned = Window(-(-w.x0 // bx), w.x1 // bx, -(-w.y0 // by), w.y1 // by)
    if (bx, by) != (1, 1) and whole.holds(binned) and min(binned.shape) > 0:
        return Section(binned, found.flip)
    raise ValueError(f"{key} {w} is not within the frame of {shape[1]} x {shape[0]} pixels")
