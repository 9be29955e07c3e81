"""Which sources the stars of a list are, on which nights: a few questions, however many stars there are."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from schema.processes import Process
from schema.skies import Source, SourceCrossmatch, SourcePosition
from services.errors import ConfigurationError, TianyuError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.selection import (
    RADEC_TOLERANCE_ARCSEC,
    cells_around,
    find_source,
    sky_tolerance,
)
from services.results.lists.list_file import Wanted
from services.results.positions import GaiaId, Position, SourceId
from services.steps.detect import DETECT

ASKED = 900  # of one statement

Status = Literal["found", "ambiguous", "not found", "no points"]
FOUND: Status = "found"
AMBIGUOUS: Status = "ambiguous"
NOT_FOUND: Status = "not found"
NO_POINTS: Status = "no points"
Pair = tuple[int, int]  # observation, source


@dataclass
class Became:
    """What a star of a list became: its source on each night that has it, and what is to be said."""

    label: str
    pairs: list[Pair] = field(default_factory=list)
    status: Status = NOT_FOUND
    words: str = ""

    def fail(self, words: str) -> None:
        """It is not there, and why."""
        self.status, self.words = NOT_FOUND, words


@dataclass(frozen=True)
class _Sky:
    """Sources that may be meant: places, what is the same star, and what each night detected."""

    places: Mapping[int, tuple[float, float]]
    by_cell: Mapping[int, Sequence[int]]
    star: Mapping[int, int]
    members: Mapping[int, Sequence[int]]
    detected: Mapping[int, set[int]]  # by graph


def became(
    session: Session,
    wanted: Sequence[Wanted],
    unknown: Mapping[int, str],
    observations: Sequence[ObservationFacts],
) -> list[Became]:
    """The sources of all stars, in the list's order.

    Args:
        session: reads only.
        wanted: stars; names were replaced by places.
        unknown: why a star's place is not known, by its number in the list.
        observations: that have light curves.
    """
    found = [Became(one.label) for one in wanted]
    for number, words in unknown.items():
        found[number].fail(words)
    left = {number: one.star for number, one in enumerate(wanted) if number not in unknown}
    ids: dict[int, list[int]] = {number: [star.number] for number, star in left.items() if isinstance(star, SourceId)}
    gaia = {number: star.number for number, star in left.items() if isinstance(star, GaiaId)}
    of_gaia = _of_gaia(session, gaia.values())
    ids |= {number: of_gaia[one] for number, one in gaia.items() if one in of_gaia}
    places = {number: star for number, star in left.items() if isinstance(star, Position)}
    for number in [one for one, star in places.items() if star.kind == "pixels"]:
        try:
            ids[number] = [_at_pixels(session, observations, places.pop(number))]
        except TianyuError as error:
            found[number].fail(str(error))
    tolerances = {one.observation_id: sky_tolerance(session, one) for one in observations} if places else {}
    cells = {number: _cells(star, observations, tolerances) for number, star in places.items()}
    sky = _sky(session, {one for some in ids.values() for one in some}, cells, observations)
    for number, some in ids.items():
        _by_ids(found[number], some, sky, observations, is_source=isinstance(left[number], SourceId))
    for number, one in gaia.items():
        if number not in ids:
            found[number].fail(f"no source is matched to Gaia DR3 {one}: too faint, blended, or outside of all fields")
    for number, place in places.items():
        _at_place(found[number], place, cells[number], sky, observations, tolerances)
    return found


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    ordered = sorted(set(values))
    return (ordered[start : start + ASKED] for start in range(0, len(ordered), ASKED))


def _of_gaia(session: Session, numbers: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for few in _chunks(numbers):
        query = select(SourceCrossmatch.gaia_source_id, SourceCrossmatch.source_id).where(
            SourceCrossmatch.gaia_source_id.in_(few),
            SourceCrossmatch.match_rank == 1,
            SourceCrossmatch.is_match.is_(True),
        )
        for number, source_id in session.execute(query):
            found.setdefault(number, []).append(source_id)
    return found


def _at_pixels(session: Session, observations: Sequence[ObservationFacts], place: Position) -> int:
    if len(observations) != 1:
        raise ConfigurationError(
            f"pixels {place.first:g},{place.second:g} are of one night's first frame: choose one (--observation)"
        )
    return find_source(session, observations[0], xy=place.pair).source_id


def _cells(place: Position, observations: Sequence[ObservationFacts], tolerances: Mapping[int, float]) -> list[int]:
    reach = max(tolerances.values(), default=RADEC_TOLERANCE_ARCSEC)
    nights = (
        {one.night for one in observations} if place.motion is not None else {one.night for one in observations[:1]}
    )
    return sorted({cell for night in nights for cell in cells_around(place.on_night(night), reach)})


def _sky(
    session: Session, ids: set[int], cells: Mapping[int, Sequence[int]], observations: Sequence[ObservationFacts]
) -> _Sky:
    places: dict[int, tuple[float, float]] = {}
    by_cell: dict[int, list[int]] = defaultdict(list)
    for few in _chunks(cell for some in cells.values() for cell in some):
        in_cells = select(Source.healpix, Source.source_id, Source.ra_deg, Source.dec_deg)
        for cell, source_id, ra, dec in session.execute(in_cells.where(Source.healpix.in_(few))):
            if cell is None or ra is None or dec is None:
                continue
            by_cell[cell].append(source_id)
            places[source_id] = ra, dec
    star: dict[int, int] = {}
    members: dict[int, list[int]] = defaultdict(list)
    for few in _chunks(ids):
        own = func.coalesce(Source.same_as, Source.source_id)
        rows = session.execute(select(Source.source_id, own).where(Source.source_id.in_(few)))
        star |= {source_id: first for source_id, first in rows}  # noqa: C416 - rows are no pairs to mypy
    for few in _chunks(star.values()):
        either = or_(Source.source_id.in_(few), Source.same_as.in_(few))
        for source_id, same_as in session.execute(select(Source.source_id, Source.same_as).where(either)):
            members[same_as or source_id].append(source_id)
    graphs = [one.graph_pid for one in observations]
    detected: dict[int, set[int]] = defaultdict(set)
    for few in _chunks({*places, *(one for some in members.values() for one in some)}):
        query = (
            select(Process.graph_pid, SourcePosition.source_id)
            .join(SourcePosition, SourcePosition.pid == Process.pid)
            .where(Process.command == DETECT.command, SourcePosition.source_id.in_(few))
        )
        for graph_pid, source_id in session.execute(query):
            if graph_pid in graphs:
                detected[graph_pid].add(source_id)
    return _Sky(places, by_cell, star, members, detected)


def _by_ids(
    one: Became, ids: Sequence[int], sky: _Sky, observations: Sequence[ObservationFacts], *, is_source: bool
) -> None:
    known = [source_id for source_id in ids if source_id in sky.star]
    if not known:
        one.fail(f"there is no source {ids[0]}: view source_catalog lists all")
        return
    others: set[int] = set()
    for facts in observations:
        there = sky.detected.get(facts.graph_pid or 0, set())
        stars = {sky.star[source_id] for source_id in known}
        seen = sorted(set(known) & there) if not is_source else []
        seen = seen or sorted({member for star in stars for member in sky.members[star]} & there)
        if seen:
            one.pairs.append((facts.observation_id, seen[0]))
            others |= {source_id for source_id in seen[1:] if sky.star.get(source_id) != sky.star.get(seen[0])}
    _judge(one, others, "none of the nights measured it")


def _at_place(
    one: Became,
    place: Position,
    cells: Sequence[int],
    sky: _Sky,
    observations: Sequence[ObservationFacts],
    tolerances: Mapping[int, float],
) -> None:
    near = [source_id for cell in cells for source_id in sky.by_cell.get(cell, ())]
    where = np.array([sky.places[source_id] for source_id in near], dtype=np.float64).reshape(-1, 2)
    others: dict[int, float] = {}
    away: dict[Any, Any] = {}
    for facts in observations:
        radec = place.on_night(facts.night)
        if radec not in away:
            away[radec] = separation_arcsec(np.array([radec]), where) if near else np.empty(0)
        there = sky.detected.get(facts.graph_pid or 0, set())
        within = sorted(
            (float(distance), source_id)
            for distance, source_id in zip(away[radec], near, strict=True)
            if source_id in there and distance <= tolerances[facts.observation_id]
        )
        if within:
            one.pairs.append((facts.observation_id, within[0][1]))
            others |= {source_id: distance for distance, source_id in within[1:]}
    taken = {source_id for _, source_id in one.pairs}
    others = {source_id: distance for source_id, distance in others.items() if source_id not in taken}
    reach = max(tolerances.values(), default=RADEC_TOLERANCE_ARCSEC)
    reason = f"no source within {reach:g} arcsec of {place.first:.5f}, {place.second:+.5f}: nothing was measured there"
    _judge(one, set(others), reason, {source_id: f'{distance:.1f}"' for source_id, distance in others.items()})


def _judge(one: Became, others: set[int], if_none: str, away: Mapping[int, str] | None = None) -> None:
    if not one.pairs:
        one.fail(if_none)
    elif others:
        names = ", ".join(f"{source_id}" + (f" at {away[source_id]}" if away else "") for source_id in sorted(others))
        taken = "nearest" if away else "first"
        one.status, one.words = AMBIGUOUS, f"the {taken} was taken; it might also be source {names}"
    else:
        one.status = FOUND
