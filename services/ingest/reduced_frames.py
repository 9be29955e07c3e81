"""What another program has taken off a frame before: bias, dark, flat; it must not be taken off again."""

import re
from pathlib import Path

from astropy.io import fits

from services.ingest import cards

LETTERS = {"B": "bias", "D": "dark", "F": "flat"}
CALSTAT_LETTERS = frozenset("BDFLMSOTPNC")
IMPLIED = {"D": "B", "F": "BD"}  # darks hold the bias; whatever comes after a flat would be divided by nothing
# IRAF and ccdproc write a sentence into each when they have done it; BANZAI and others a flag.
DONE_KEYS = {
    "B": ("ZEROCOR", "BIASCOR", "BIASCORR", "SUBBIAS", "L1STATBI", "L1STATZE"),
    "D": ("DARKCOR", "DARKCORR", "SUBDARK", "L1STATDA"),
    "F": ("FLATCOR", "FLATCORR", "L1STATFL"),
}
REDUCED_LEVEL_KEY, REDUCED_LEVEL = "RLEVEL", 10  # LCO: 0 is raw, 11 was reduced within minutes, 91 in the morning
FOLDERS = frozenset({"reduced", "calibrated", "processed", "reduction", "corrected"})
_ENDING = re.compile(r"[-_.](calibrated|reduced|cal|bdf|proc|corrected|e91)\.(fits?|fts)(\.(gz|fz))?$", re.IGNORECASE)
_NOT_DONE = re.compile(r"\s*(f|false|no|n|none|n/a|0|-1|omit.*|not .*|perform|)\s*", re.IGNORECASE | re.ASCII)


def taken_off(header: fits.Header) -> str:
    """Letters of what the header says was taken off, in the order ``BDF``; empty for a raw frame.

    By CALSTAT (MaxIm DL, AstroImageJ), by the cards of ccdproc (IRAF's and astropy's), and by LCO's (BANZAI's) flags.
    What comes before it in a reduction counts as taken off too: it cannot be any more.
    """
    told = re.sub(r"[^A-Z]", "", (cards.text(header, ("CALSTAT",)) or "").upper())
    found = {letter for letter in LETTERS if letter in told and set(told) <= CALSTAT_LETTERS}
    found |= {letter for letter, keys in DONE_KEYS.items() if any(is_done(header, key) for key in keys)}
    level = cards.as_number(cards.raw(header, REDUCED_LEVEL_KEY))
    if level is not None and level > REDUCED_LEVEL:
        found |= set(LETTERS)
    found |= {implied for letter in found for implied in IMPLIED.get(letter, "")}
    return "".join(letter for letter in LETTERS if letter in found)


def is_done(header: fits.Header, key: str) -> bool:
    """Whether a card says that a step of a reduction was done: by a flag, or by a sentence of how."""
    value = cards.raw(header, key)
    if value is None or isinstance(value, bool):
        return bool(value)
    return _NOT_DONE.fullmatch(str(value)) is None


def notes_on(reduced: str) -> tuple[str, ...]:
    """What is said of frames of which something was taken off."""
    if not reduced:
        return ()
    named = ", ".join(LETTERS[letter] for letter in reduced)
    return (f"reduced elsewhere, by the header: {named} not applied again",)


def is_named_reduced(path: Path) -> bool:
    """Whether the file lies in a folder that reduced frames are put into, or is named by such an ending."""
    return path.parent.name.lower() in FOLDERS or _ENDING.search(path.name) is not None
