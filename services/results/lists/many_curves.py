"""Light curves of many stars in one table, read many stars at a time."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from schema.light_curve_rows import ApertureChoice, Points, points, together
from services.masters import masters_used
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.provenance import published_by
from services.results.lightcurves.reading import least_scatter, methods, table_of
from services.results.lists.became import NO_POINTS, NOT_FOUND, Became, Pair
from services.shown import shown

Told = Callable[[int, int], None]  # how many sources are read, of how many


@dataclass(frozen=True)
class ManyCurves:
    """All points, by star and time, and a row for each star of the list: what became of it."""

    table: Table
    targets: Table
    places: NDArray[np.int64]  # place in the list of each point

    def of(self, number: int) -> Table:
        """The points of one star."""
        first, last = np.searchsorted(self.places, [number, number + 1])
        found: Table = self.table[first:last]
        return found


def read_many(
    session: Session,
    stars: Sequence[Became],
    observations: Sequence[ObservationFacts],
    aperture: ApertureChoice,
    told: Told = lambda _done, _of: None,
) -> ManyCurves:
    """Read the light curves of all stars that were found.

    Each source is read in its night's best aperture (as `analyze` named it, else the one that scatters least), in a
    given one, or in all.
    """
    rows, place = _read(session, stars, aperture, told)
    order = np.lexsort((rows["aperture"], rows["image_id"], np.nan_to_num(rows["jd_utc"], nan=np.inf), place))
    rows, place = {name: values[order] for name, values in rows.items()}, place[order]
    used = [one for one in observations if one.observation_id in set(np.unique(rows["observation_id"]).tolist())]
    table = table_of(rows, methods(session, used))
    labels = np.array([shown(one.label) for one in stars] or [""], dtype=np.str_)
    table.add_column(Column(labels[place], description="star, as the list names it"), name="target", index=0)
    bands = {one.observation_id: shown(one.filter) for one in used}
    filters = [bands[number] for number in rows["observation_id"].tolist()]
    table["filter"] = MaskedColumn(filters, dtype=np.str_, description="of the observation")
    table.meta = _facts(session, used)
    return ManyCurves(table, _targets(stars, place, rows["usable"]), place)


def _read(
    session: Session, stars: Sequence[Became], aperture: ApertureChoice, told: Told
) -> tuple[Points, NDArray[np.int64]]:
    """Points, and the place in the list of each; a star that is named twice has its points twice."""
    of_pair: dict[Pair, list[int]] = {}
    for number, one in enumerate(stars):
        for pair in one.pairs:
            of_pair.setdefault(pair, []).append(number)
    found = _of_pairs(session, list(of_pair), aperture, told)
    if aperture == "best":
        there = set(zip(found["observation_id"].tolist(), found["source_id"].tolist(), strict=True))
        if left := [pair for pair in of_pair if pair not in there]:
            found = together([found, least_scatter(_of_pairs(session, left, "all", lambda _done, _of: None))])
    pairs = zip(found["observation_id"].tolist(), found["source_id"].tolist(), strict=True)
    numbers = [of_pair[pair] for pair in pairs]
    at = np.repeat(np.arange(len(numbers)), [len(some) for some in numbers])
    place = np.array([number for some in numbers for number in some], dtype=np.int64)
    return {name: values[at] for name, values in found.items()}, place


def _of_pairs(session: Session, pairs: Sequence[Pair], aperture: ApertureChoice, told: Told) -> Points:
    """Points of these sources on these nights; a source may be another star's on another night."""
    wanted = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    sources = np.unique(wanted[:, 1])
    width = int(sources.max(initial=0)) + 1
    keys = np.unique(wanted[:, 0] * width + wanted[:, 1])
    parts, done = [], 0
    nights = np.unique(wanted[:, 0]).tolist()
    for few, part in points(session.connection(), sources.tolist(), nights, aperture=aperture) if nights else ():
        kept = np.isin(part["observation_id"] * width + part["source_id"], keys)
        parts.append({name: values[kept] for name, values in part.items()})
        done += len(few)
        told(done, sources.size)
    return together(parts)


def _facts(session: Session, observations: Sequence[ObservationFacts]) -> dict[str, str]:
    """Facts of all nights, each told once."""
    published = [published_by(session, one.calibration_pid) for one in observations]
    told = {
        "observation": [str(one.observation_id) for one in observations],
        "target": [one.target for one in observations],
        "filter": [one.filter for one in observations],
        "instrument": [one.instrument for one in observations],
        "night": [one.night.isoformat() for one in observations],
        "tianyu_version": [one.get("tianyu_version", "") for one in published],
        "masters": ["; ".join(map(str, masters_used(session, one.graph_pid))) for one in observations],
    }
    facts = {name: "; ".join(dict.fromkeys(value for value in values if value)) for name, values in told.items()}
    choices = dict.fromkeys(one["choices"] for one in published if one.get("choices"))
    return facts | {"choices": json.dumps([json.loads(one) for one in choices])}


def _targets(stars: Sequence[Became], place: NDArray[np.int64], usable: NDArray[np.bool_]) -> Table:
    points = np.bincount(place, minlength=len(stars)) if len(stars) else np.empty(0, dtype=np.int64)
    good = np.bincount(place[usable], minlength=len(stars)) if len(stars) else points
    for one, count in zip(stars, points.tolist(), strict=True):
        if count == 0 and one.status != NOT_FOUND:
            one.status, one.words = NO_POINTS, "it was detected, and measured on no image of these nights and aperture"
    table = Table()
    table["target"] = Column(
        [shown(one.label) for one in stars], dtype=np.str_, description="star, as the list names it"
    )
    table["status"] = Column([one.status for one in stars], dtype=np.str_, description="what became of it")
    sources = [" ".join(map(str, sorted({source for _, source in one.pairs}))) for one in stars]
    nights = [" ".join(str(observation) for observation, _ in one.pairs) for one in stars]
    table["sources"] = Column(sources, dtype=np.str_, description="its source ids, one for all nights where it can")
    table["observations"] = Column(nights, dtype=np.str_, description="that detected it")
    table["points"] = Column(points, description="points of the light curve")
    table["usable_points"] = Column(good, description="those that may be used")
    table["reason"] = Column([one.words for one in stars], dtype=np.str_, description="why, and what else it might be")
    return table
