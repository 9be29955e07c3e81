"""What a frame is: bias, dark, flat or light, of which target and through which filter."""

import re
from pathlib import Path
from typing import Literal

from astropy.io import fits

from services.ingest import cards
from services.ingest.dialect import Dialect, Kind
from services.ingest.dialect_files import STANDARD

OPEN_FILTERS = frozenset({"open", "air", "empty", "none", "clear", "n/a"})
TARGET_LENGTH = 128
# What programs write where nobody named a target.
NO_NAMES = frozenset(
    (*("n/a", "na", "none", "null", "unknown", "unnamed", "undefined", "-", "?"), "object", "light", "science", "image")
)
NO_KIND = "nothing says what kind of frame it is: taken for a light frame"

_FIRST: tuple[Kind, ...] = ("dark", "flat", "bias", "light")  # of a name with words of several: a dark flat is a dark
_WORDS: dict[str, Kind] = {
    **dict.fromkeys(("bias", "biases", "zero", "zeros", "zeroes"), "bias"),
    **dict.fromkeys(("dark", "darks"), "dark"),
    **dict.fromkeys(
        ("flat", "flats", "flatfield", "flatfields", "skyflat", "skyflats", "domeflat", "domeflats"), "flat"
    ),
    **dict.fromkeys(("light", "lights", "object", "objects", "science"), "light"),
}
_NEUTRAL_WORDS = frozenset(
    {"frame", "frames", "image", "images", "field", "fields", "sky", "dome", "twilight", "evening", "morning", "dusk"}
    | {"dawn", "night", "raw", "cal", "calib", "calibration", "calibrations", "sec", "clear", "red", "green", "blue"}
)
_FILTER_NAMES = frozenset(
    {"U", "B", "V", "R", "I", "Rc", "Ic", "u", "g", "r", "i", "z", "y", "up", "gp", "rp", "ip", "zp"}
    | {"L", "Lum", "Clear", "clear", "CLEAR", "Red", "Green", "Blue", "Ha", "OIII", "SII"}
)
_SUFFIX = re.compile(r"\.(fits?|fts)(\.(fz|gz))?$|\.fz$", re.IGNORECASE)
_ATTACHED_NUMBER = re.compile(r"\d{5,}$")  # of fewer digits it may be the star's: NGC7000
_EXPOSURE = re.compile(r"\d+(s|sec)", re.IGNORECASE)


def kind_of(header: fits.Header, path: Path, words: Dialect = STANDARD) -> tuple[Kind, tuple[str, ...]]:
    """Kind by the header, else by OBJECT, the file's name, its folder or the folder above; else light. And notes.

    Raises:
        ValueError: the header says that it is none of these: a focus frame, an arc lamp.
    """
    written, told = _types(header, words)
    key, said = next(iter(told.items()), ("", None))
    if said == "other":
        raise ValueError(f"{key} is {written[key]!r}: it is no bias, dark, flat or frame of the sky to be measured")
    named = _by_name(path)
    if said is not None:
        others = [f"{other} is {written[other]!r}" for other, kind in told.items() if kind != said]
        if others:
            return said, (f"{key} is {written[key]!r}, which is followed, {' and '.join(others)}",)
        clash = named is not None and named != said
        return said, (f"header says {said}, name or folder {named}: the header is followed",) if clash else ()
    notes = tuple(f"type {name!r} is not known" for name in list(written.values())[:1])
    object_name = cards.text(header, ("OBJECT",))
    by_object = kind_by_words(object_name) if object_name else None
    if by_object is None and named is None and not notes and not has_target(header, words):
        notes = (NO_KIND,)
    return by_object or named or "light", notes


def kind_told(header: fits.Header, words: Dialect = STANDARD) -> str | None:
    """The kind that a keyword names: also ``other``, None where there is none that is known."""
    return next(iter(_types(header, words)[1].values()), None)


def _types(header: fits.Header, words: Dialect) -> tuple[dict[str, str], dict[str, Kind | Literal["other"]]]:
    """Values by keyword, and the kinds of those that are known."""
    written = {key: name for key in words.keywords.kind if (name := cards.text(header, (key,))) is not None}
    return written, {key: kind for key, name in written.items() if (kind := words.kind_named(name)) is not None}


def target_of(header: fits.Header, path: Path, kind: Kind, words: Dialect = STANDARD) -> str | None:
    """Name of what a light frame shows: OBJECT, else the file's name without number, exposure time and filter."""
    if kind != "light":
        return None
    return _named(header, words) or _target_in_name(_stem(path))


def has_target(header: fits.Header, words: Dialect = STANDARD) -> bool:
    """Whether the header names what the frame shows, and not its file alone."""
    return _named(header, words) is not None


def _named(header: fits.Header, words: Dialect) -> str | None:
    names = (cards.text(header, (key,), TARGET_LENGTH) for key in words.keywords.target)
    return next((name for name in names if name and name.lower() not in NO_NAMES), None)


def filter_of(header: fits.Header, path: Path, kind: Kind, words: Dialect = STANDARD) -> str | None:
    """Name of the filter of a flat or light frame, by the header, else by the file's name.

    Of several wheels the one counts that is not open.
    """
    if kind in ("bias", "dark"):
        return None
    found = [name for key in words.keywords.filter if (name := cards.text(header, (key,))) is not None]
    if found:
        return next((name for name in found if name.lower() not in OPEN_FILTERS), found[0])
    return next((part for part in reversed(re.split(r"[-_. ]+", _stem(path))) if part in _FILTER_NAMES), None)


def _by_name(path: Path) -> Kind | None:
    kind = _by_words(_stem(path), is_strict=False)
    for folder in (path.parent, path.parent.parent):
        kind = kind or kind_by_words(folder.name)
    return kind


def kind_by_words(name: str) -> Kind | None:
    """The kind that a name means and nothing besides: `sky flat`, but not `Dark Nebula`."""
    return _by_words(name, is_strict=True)


def _by_words(name: str, *, is_strict: bool) -> Kind | None:
    """The kind a name has a word for; strict: and no word that is foreign to calibration (the Dark Nebula is not)."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.lower() for word in re.split(r"[\W\d_]+", apart) if word]
    kinds = {_WORDS[word] for word in words if word in _WORDS}
    if is_strict and any(len(word) > 2 and word not in _WORDS and word not in _NEUTRAL_WORDS for word in words):
        return None
    return next((kind for kind in _FIRST if kind in kinds), None)


def _stem(path: Path) -> str:
    return _SUFFIX.sub("", path.name)


def _target_in_name(stem: str) -> str | None:
    """What is left of the name without kind, filter and exposure time, and without one running number at its end."""
    parts = re.split(r"([-_. ]+)", stem)
    has_number = False
    while parts and (_is_filler(parts[-1]) or (parts[-1].isdigit() and not has_number)):
        has_number |= parts.pop().isdigit()
    while parts and (parts[0].lower() in _WORDS or not parts[0].strip("-_. ")):
        del parts[0]
    name = "".join(parts)
    name = name if has_number else _ATTACHED_NUMBER.sub("", name)
    return cards.printable(name.encode(errors="replace").decode())[:TARGET_LENGTH].strip() or None


def _is_filler(part: str) -> bool:
    return (
        not part.strip("-_. ")
        or part in _FILTER_NAMES
        or part.lower() in _WORDS
        or _EXPOSURE.fullmatch(part) is not None
    )
