"""Calibration observations that may serve an observation, the nearest first, and why one of them does not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import DARK, FLAT, LIGHT, Filter, Observation, Target
from schema.processes import SUCCEEDED, Process, PublishedChoices
from schema.queries.capturing import numbers_to_come, sizes_taken
from schema.queries.frames import USABLE
from services.choices import Choices
from services.frame_geometry import without_size

SAME_EXPOSURE = 0.01  # relative, in the keys of observations
GIVEN = "given "  # in the setting of observations of files that the operator gave: they serve where they are given
LIMITS = ("flat_limits_adu", "saturation")  # choices by which flats are judged


@dataclass(frozen=True)
class Candidate:
    """An observation of calibration frames; ``refused``: why it does not serve, empty where it does.

    ``is_spent``: all its frames were looked at and lie outside their limits; nothing else speaks against it.
    """

    observation: Observation
    refused: str = ""
    is_spent: bool = False


@dataclass(frozen=True)
class _Frames:
    """What the frames of an observation share; of frames that are all still to be taken nobody knows the size."""

    sizes: frozenset[tuple[int | None, int | None]]  # (ny, nx)
    usable: int
    temperature_c: float | None  # of the detector, mean of the frames that tell


def candidates(
    session: Session, observation: Observation, kind: str, choices: Choices, *, elsewhere: bool = False
) -> list[Candidate]:
    """Observations of ``kind`` by the same instrument, nearest night first, for darks then nearest exposure time.

    Those that have frames which ingest took; ``elsewhere``: at other sites instead of the observation's own.
    """
    there = select(Observation).join(Target, Target.target_id == Observation.target_id)
    there = there.where(
        Target.kind == kind,
        (Observation.site_id == observation.site_id).is_(not elsewhere),
        Observation.instrument_id == observation.instrument_id,
        Observation.setting.not_like(f"{GIVEN}%"),
    )
    found = session.scalars(there).all()
    if not found:
        return []
    frames = _frames(session, [observation.observation_id, *(one.observation_id for one in found)])
    own = frames.get(observation.observation_id)
    if own is None:
        return []
    if not own.sizes:  # all are to come: as large as those that the camera gave before
        own = replace(own, sizes=frozenset(sizes_taken(session, observation)))
    judged = []
    for one in sorted(found, key=lambda one: _distance(observation, one, kind)):
        theirs = frames.get(one.observation_id)
        if theirs is None:
            continue
        refused = _refused(session, observation, one, kind, choices, own, theirs)
        spent = kind == FLAT and not refused and not theirs.usable and _is_spent(session, one, choices)
        judged.append(Candidate(one, refused or ("no flat within its limits" if spent else ""), spent))
    return judged


def serves(found: Sequence[Candidate]) -> Candidate | None:
    """The one that serves: the nearest that nothing speaks against, else one whose frames were found outside limits."""
    fitting = (one for one in found if not one.refused)
    return next(fitting, next((one for one in found if one.is_spent), None))


def unlike_pixels(session: Session, observation: Observation, candidate: Observation) -> str:
    """What of a candidate's pixels does not lie on those of an observation's frames; empty where all do."""
    frames = _frames(session, [observation.observation_id, candidate.observation_id])
    own, theirs = (frames.get(one.observation_id) for one in (observation, candidate))
    if own is None or theirs is None:
        return "no frame that can be used" if theirs is None else ""
    return _unlike_pixels(observation, candidate, own, theirs)


def filter_name(session: Session, observation: Observation) -> str:
    """Name of its filter, empty where headers tell none."""
    return session.get_one(Filter, observation.filter_id).name


def is_scaled(observation: Observation, dark: Observation) -> bool:
    """Whether a dark is of another exposure time than frames."""
    apart = abs(dark.exposure_s - observation.exposure_s) > SAME_EXPOSURE * observation.exposure_s
    return bool(observation.exposure_s) and apart


def _unlike_pixels(observation: Observation, candidate: Observation, own: _Frames, theirs: _Frames) -> str:
    ways = [without_size(one.geometry) for one in (candidate, observation)]
    if ways[0] != ways[1]:
        return " instead of ".join(way or "whole frames" for way in ways)
    if candidate.binning != observation.binning and not candidate.setting.startswith(GIVEN):
        return f"binning {candidate.binning} instead of {observation.binning}"
    if own.sizes and theirs.sizes and own.sizes.isdisjoint(theirs.sizes):
        return " instead of ".join(_size(one) for one in (theirs, own)) + " pixels"
    return ""


def _size(frames: _Frames) -> str:
    ny, nx = min(frames.sizes, key=str)
    return f"{nx} x {ny}"


def _refused(
    session: Session,
    observation: Observation,
    candidate: Observation,
    kind: str,
    choices: Choices,
    own: _Frames,
    theirs: _Frames,
) -> str:
    """What of a candidate does not fit, and what it should be; flats serve at any gain, for they are divided by."""
    if unlike := _unlike_pixels(observation, candidate, own, theirs):
        return unlike
    nights = abs((candidate.night - observation.night).days)
    if nights > choices.master_nights_max:
        return f"night {candidate.night}, {nights} nights away (at most {choices.master_nights_max})"
    if kind == FLAT:
        return _unlike_filter(session, observation, candidate)
    wanted, there = (_setting(one) for one in (observation, candidate))
    for name in sorted(wanted.keys() & there.keys()):
        if wanted[name] != there[name]:
            return f"{name} {there[name]} instead of {wanted[name]}"
    if kind != DARK:
        return ""
    expected, found = own.temperature_c, theirs.temperature_c
    if expected is not None and found is not None and abs(found - expected) > choices.master_temperature_c:
        return f"{found:.0f} instead of {expected:.0f} degrees C"
    if not choices.scale_darks and is_scaled(observation, candidate):
        return f"{candidate.exposure_s:g} instead of {observation.exposure_s:g} s (scale_darks is off)"
    return ""


def _unlike_filter(session: Session, observation: Observation, candidate: Observation) -> str:
    """Flats of another filter; those of none, and those for frames of none, fit where there is one filter alone."""
    if candidate.filter_id == observation.filter_id:
        return ""
    wanted, there = filter_name(session, observation), filter_name(session, candidate)
    if wanted and there:
        return f"filter {there} instead of {wanted}"
    # Which filters the other side had on these nights.
    kind = LIGHT if wanted else FLAT
    query = (
        select(Filter.name)
        .distinct()
        .join(Observation, Observation.filter_id == Filter.filter_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(
            Target.kind == kind,
            Observation.site_id == observation.site_id,
            Observation.instrument_id == observation.instrument_id,
            Observation.night.in_((observation.night, candidate.night)),
            Observation.setting.not_like(f"{GIVEN}%"),
            Filter.name != "",
        )
    )
    filters = set(session.scalars(query))
    if filters == {wanted or there}:
        return ""
    of = "frames" if kind == LIGHT else "flats"
    return f"{'no filter' if wanted else f'filter {there}'} where there are {of} of {', '.join(sorted(filters))}"


def _setting(observation: Observation) -> dict[str, str]:
    parts = (part.partition(" ") for part in observation.setting.split(", ") if part)
    return {name: value for name, _, value in parts}


def _frames(session: Session, observations: Sequence[int]) -> dict[int, _Frames]:
    """Of the frames that ingest took and those that are still to be taken; observations without any are left out."""
    # Each frame is looked at once: what a process said of it is a query of its own.
    each = (
        select(
            Image.observation_id, Image.ny, Image.nx, Image.temperature_c, case((USABLE, 1), else_=0).label("usable")
        )
        .where(Image.observation_id.in_(observations), Image.pid.is_(None), Image.good.is_not(False))
        .subquery()
    )
    shape = (each.c.observation_id, each.c.ny, each.c.nx)
    warmth = case((each.c.usable == 1, each.c.temperature_c))
    query = select(*shape, func.sum(each.c.usable), func.sum(warmth), func.count(warmth)).group_by(*shape)
    rows: dict[int, list[tuple[tuple[int | None, int | None], int, float, int]]] = {}
    for number, ny, nx, usable, total, count in session.execute(query):
        rows.setdefault(number or 0, []).append(((ny, nx), int(usable), float(total or 0.0), int(count)))
    to_come = numbers_to_come(session, observations)
    return {
        number: _Frames(
            frozenset(size for size, *_ in found),
            sum(usable for _, usable, _, _ in found) + to_come.get(number, 0),
            sum(total for _, _, total, _ in found) / count if (count := sum(told for *_, told in found)) else None,
        )
        for number, found in (rows | {number: [] for number in to_come if number not in rows}).items()
    }


def _is_spent(session: Session, observation: Observation, choices: Choices) -> bool:
    """Whether its flats were looked at by these limits, and none is within."""
    made = select(Image.image_id).where(Image.pid == Process.pid).exists()
    row = session.execute(
        select(Process.status, made, PublishedChoices.choices)
        .outerjoin(PublishedChoices, PublishedChoices.choices_id == Process.choices_id)
        .where(Process.observation_id == observation.observation_id, Process.command == "combine_flat")
        .order_by(Process.pid.desc())
        .limit(1)
    ).one_or_none()
    if row is None or row[0] != SUCCEEDED or row[1]:
        return False
    before, now = json.loads(row[2] or "{}"), choices.values()
    return all(before.get(name) == now[name] for name in LIMITS)


def _distance(observation: Observation, candidate: Observation, kind: str) -> tuple[int, float, bool, date, int]:
    exposure = abs(candidate.exposure_s - observation.exposure_s) if kind == DARK else 0.0
    nights = abs((candidate.night - observation.night).days)
    other_filter = kind == FLAT and candidate.filter_id != observation.filter_id
    return nights, exposure, other_filter, candidate.night, candidate.observation_id
