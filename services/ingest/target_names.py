"""Frames of one target under several names: without OBJECT, with a running number in it, or spelt in two ways."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from pipeline.units import ARCSEC, HOUR_DEG
from services.ingest.coordinates import apart_deg
from services.ingest.headers import FrameFacts

FIELD_PART = 0.25  # of a field's shorter side: pointings that are nearer are one
FIELD_DEG = 0.4  # where no scale is known: of a small telescope
COUNTING_SHARE = 0.5  # of names in frames: from here on names count frames instead of naming targets


def one_target(frames: Sequence[FrameFacts], nights: Mapping[Path, date]) -> list[FrameFacts]:
    """The frames, those of one target under one name, with a note where a name was changed; in the same order.

    Names stay apart where pointings are apart. Names that count frames become one where frames of one camera, filter
    and night point to one place; that place names them, for the first of such names says nothing. A pointing that
    stands still while the names of targets change merges none: names with several frames each are names.
    """
    found = list(frames)
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        if frame.kind == "light":
            camera = (frame.instrument, frame.telescope, frame.binning, frame.shape)
            alike[*camera, frame.filter, nights[frame.path]].append(number)
    for numbers in alike.values():
        for name, members in _names(frames, numbers).items():
            for number in members:
                if frames[number].target != name:
                    found[number] = _renamed(frames[number], name)
    return found


def _names(frames: Sequence[FrameFacts], numbers: Sequence[int]) -> dict[str, list[int]]:
    """Indices by the name they get."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for pointed in _places(frames, numbers):
        spelt: dict[str, list[int]] = defaultdict(list)
        for number in pointed:
            spelt[bare(frames[number].target)].append(number)
        if len(spelt) > 1 and _count_frames(frames, pointed, list(spelt)):
            by_name[_shared_name(frames, pointed)] += pointed
            continue
        for members in spelt.values():
            counted = Counter(frames[number].target or "" for number in members)
            by_name[max(counted, key=lambda name: (counted[name], name))] += members
    return by_name


def bare(name: str | None) -> str:
    """A name's letters and digits, the same for all spellings."""
    return re.sub(r"[\W_]+", "", name or "").lower()


def _count_frames(frames: Sequence[FrameFacts], pointed: Sequence[int], names: Sequence[str]) -> bool:
    """Whether names are running numbers of frames that all point to one known place."""
    if any(frames[number].ra_deg is None for number in pointed) or len(names) <= COUNTING_SHARE * len(pointed):
        return False
    return len({re.sub(r"\d+", "", name) for name in names}) == 1


def _shared_name(frames: Sequence[FrameFacts], pointed: Sequence[int]) -> str:
    """What the names share without their numbers at the end, where it names something; else the place."""
    first = min((frames[number] for number in pointed), key=lambda frame: (frame.jd_utc or 0.0, str(frame.path)))
    if first.has_object:
        return re.sub(r"[\s_#.-]*\d+\W*$", "", first.target or "") or first.target or ""
    ra, dec = first.ra_deg or 0.0, first.dec_deg or 0.0
    minutes, arcmin = int(ra / HOUR_DEG * 60.0), int(abs(dec) * 60.0)
    sign = "-" if dec < 0 else "+"
    return f"J{minutes // 60:02d}{minutes % 60:02d}{sign}{arcmin // 60:02d}{arcmin % 60:02d}"


def _places(frames: Sequence[FrameFacts], numbers: Sequence[int]) -> list[list[int]]:
    """Indices apart by pointing; those without one are together."""
    places: list[tuple[tuple[float, float], list[int]]] = []
    nowhere = []
    for number in numbers:
        frame = frames[number]
        if frame.ra_deg is None or frame.dec_deg is None:
            nowhere.append(number)
            continue
        here = (frame.ra_deg, frame.dec_deg)
        near = (place for there, place in places if apart_deg(there, here) <= _same_deg(frame))
        if (place := next(near, None)) is not None:
            place.append(number)
        else:
            places.append((here, [number]))
    found = [place for _, place in places]
    return [*found, nowhere] if nowhere else found


def _same_deg(frame: FrameFacts) -> float:
    scale = frame.pixel_scale_arcsec
    return FIELD_PART * (FIELD_DEG if scale is None else min(frame.shape) * scale / ARCSEC)


def _renamed(frame: FrameFacts, name: str) -> FrameFacts:
    why = "OBJECT differs among frames" if frame.has_object else "there is no OBJECT"
    return replace(frame, target=name, notes=(*frame.notes, f"{why} of one pointing: their target is {name!r}"))
