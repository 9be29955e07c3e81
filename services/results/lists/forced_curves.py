"""Fluxes and upper limits at places that were asked for: no light curves of sources, and told apart from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import NDArray
from sqlalchemy import column, exists, select, table
from sqlalchemy.orm import Session, aliased

from pipeline.sky.astrometry.sphere import separation_arcsec
from schema.forced import ForcedPlace
from schema.light_curve_rows import ApertureChoice
from schema.observing import Observation
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.provenance import published_by
from services.results.lists.list_file import Wanted
from services.results.positions import Position
from services.results.view_columns import FORCED_LIGHT_CURVE
from services.shown import shown

SAME_PLACE_ARCSEC = 1.0  # of a place that is asked for by coordinates
VIEW = table("forced_light_curve", *(column(one.name) for one in FORCED_LIGHT_CURVE))
TYPES = {"i4": np.int32, "i8": np.int64, "f8": np.float64, "bool": np.bool_, "str": np.str_}

PLACES_A_QUERY = 200
NOBODY_ASKED = "nobody asked for flux at places of these nights: `tianyu publish OBSERVATION --forced` does"

Points = dict[tuple[int, str], list[Any]]  # rows by observation and name of the place
Status = str
MEASURED, OUTSIDE, NOT_MEASURED, NOT_ASKED = "measured", "outside", "not measured", "not asked"


@dataclass(frozen=True)
class ForcedCurves:
    """All points, by place of the list and time, and a row for each of the list and each night that was asked."""

    table: Table
    targets: Table


def placed(session: Session, observations: Sequence[ObservationFacts]) -> list[ForcedPlace]:
    """Places that were asked for in the shown graphs of some nights; of one name those of the newest list."""
    newer = aliased(ForcedPlace)
    replaced = exists().where(
        newer.graph_pid == ForcedPlace.graph_pid, newer.name == ForcedPlace.name, newer.pid > ForcedPlace.pid
    )
    query = (
        select(ForcedPlace)
        .join(
            Observation,
            (Observation.observation_id == ForcedPlace.observation_id)
            & (Observation.graph_pid == ForcedPlace.graph_pid),
        )
        .where(ForcedPlace.observation_id.in_([one.observation_id for one in observations]), ~replaced)
        .order_by(ForcedPlace.observation_id, ForcedPlace.pid, ForcedPlace.place)
    )
    return list(session.scalars(query))


def read_forced(
    session: Session, wanted: Sequence[Wanted], observations: Sequence[ObservationFacts], aperture: ApertureChoice
) -> ForcedCurves:
    """Points of some places of a list, or of all that were asked for.

    Args:
        session: reads only.
        wanted: by the names under which they were asked for, or by their places (within an arcsec); none: all.
        observations: that are looked at.
        aperture: ``best`` is the smallest circle.
    """
    there = placed(session, observations)
    names = [one.label for one in wanted] or list(dict.fromkeys(one.name for one in there))
    meant = [_meant(one, there) for one in wanted] or [[one for one in there if one.name == name] for name in names]
    nights = {one.observation_id: one for one in observations}
    rows: list[tuple[Any, ...]] = []
    states: list[tuple[Any, ...]] = []
    points = points_at(session, [place for places in meant for place in places], aperture)
    for name, places in zip(names, meant, strict=True):
        if not places:
            states.append((name, NOT_ASKED, 0, 0, 0, None, None, _why_not_asked(observations)))
        for place in places:
            found = points[place.observation_id, place.name]
            rows += [(name, nights[place.observation_id].filter, *row) for row in found]
            states.append((name, *_state(place, found)))
    curves = _table(rows)
    curves.meta = _facts(session, [nights[number] for number in sorted({place.observation_id for place in there})])
    return ForcedCurves(curves, _targets(states))


def _meant(wanted: Wanted, there: Sequence[ForcedPlace]) -> list[ForcedPlace]:
    """Those of its name, else those at its place."""
    label = " ".join(wanted.label.split()).casefold()
    if named := [one for one in there if one.name.casefold() == label]:
        return named
    if not isinstance(wanted.star, Position) or not wanted.star.may_be_on_sky or not there:
        return []
    radec = np.array([(one.ra_deg, one.dec_deg) for one in there])
    away = separation_arcsec(np.array([wanted.star.pair]), radec)
    return [one for one, distance in zip(there, away, strict=True) if distance <= SAME_PLACE_ARCSEC]


def points_at(session: Session, places: Sequence[ForcedPlace], aperture: ApertureChoice = "best") -> Points:
    """Rows of the view of each place, by time; a few statements for all of a night."""
    query = select(VIEW)
    if aperture != "all":
        query = query.where(VIEW.c.aperture_best == 1 if aperture == "best" else VIEW.c.aperture == int(aperture))
    query = query.order_by(VIEW.c.jd_utc, VIEW.c.image_id, VIEW.c.aperture)
    found: Points = {(place.observation_id, place.name): [] for place in places}
    names: dict[int, list[str]] = {}
    for number, name in found:
        names.setdefault(number, []).append(name)
    for number, of_night in names.items():
        for start in range(0, len(of_night), PLACES_A_QUERY):
            few = of_night[start : start + PLACES_A_QUERY]
            for row in session.execute(query.where(VIEW.c.observation_id == number, VIEW.c.target.in_(few))):
                found[number, row.target].append(row)
    return found


def _state(place: ForcedPlace, points: Sequence[Any]) -> tuple[Any, ...]:
    good = [point for point in points if point.usable]
    near = place.nearest_source_id
    if not place.inside:
        status, words = OUTSIDE, f"it lies outside of the field of observation {place.observation_id}"
    elif not points:
        status, words = NOT_MEASURED, f"`tianyu status {place.observation_id}` shows how far it is"
    elif place.is_source:
        status, words = (
            MEASURED,
            f"source {near} stands there: its own light curve is `tianyu lightcurve --source {near}`",
        )
    else:
        status, words = MEASURED, "" if near is None else f"no source stands there; the nearest is source {near}"
        words += "" if place.nearest_arcsec is None else f', {place.nearest_arcsec:.1f}" away'
    detections = sum(point.significance is not None and point.flux_limit is None for point in good)
    return status, place.observation_id, len(points), len(good), near, detections, words


def weighted_mean(points: Sequence[Any]) -> tuple[float | None, float | None]:
    """Mean of `flux_forced` of usable points, each by its error, and the error of that; None of none."""
    good = [(one.flux_forced, one.flux_forced_error) for one in points if one.usable and one.flux_forced is not None]
    if not good:
        return None, None
    flux, error = np.array(good).T
    return float(np.average(flux, weights=error**-2.0)), float(np.sum(error**-2.0) ** -0.5)


def _why_not_asked(observations: Sequence[ObservationFacts]) -> str:
    number = observations[0].observation_id if observations else "OBSERVATION"
    return f"nobody asked for flux there: `tianyu publish {number} --forced LIST` does"


def _table(rows: Sequence[tuple[Any, ...]]) -> Table:
    """With units; `forced` is 1 in each row, so that it is told from light curves wherever it goes."""
    result = Table()
    columns = list(zip(*rows, strict=True)) if rows else [()] * (2 + len(FORCED_LIGHT_CURVE))
    result["target"] = Column(
        [shown(one) for one in columns[0]], dtype=np.str_, description="place, as the list names it"
    )
    for one, values in zip(FORCED_LIGHT_CURVE, columns[2:], strict=True):
        if one.name == "target":
            continue
        mask = [value is None for value in values]
        filler = np.nan if one.dtype == "f8" else 0
        data: NDArray[Any] = np.array([filler if value is None else value for value in values], dtype=TYPES[one.dtype])
        result[one.name] = MaskedColumn(data, mask=mask, unit=one.unit, description=one.description)
    result["filter"] = Column([shown(one) for one in columns[1]], dtype=np.str_, description="of the observation")
    forced = np.ones(len(rows), dtype=np.bool_)
    result["forced"] = Column(forced, description="measured because it was asked for: no detection of a source")
    return result


def _targets(states: Sequence[tuple[Any, ...]]) -> Table:
    columns = list(zip(*states, strict=True)) if states else [()] * 8
    names = (
        "target",
        "status",
        "observation_id",
        "points",
        "usable_points",
        "nearest_source_id",
        "detections",
        "reason",
    )
    result = Table()
    for name, values in zip(names, columns, strict=True):
        if name in ("target", "status", "reason"):
            result[name] = Column([shown(str(one)) for one in values], dtype=np.str_)
        else:
            mask = [one is None for one in values]
            result[name] = MaskedColumn([one or 0 for one in values], mask=mask, dtype=np.int64)
    return result


def _facts(session: Session, observations: Sequence[ObservationFacts]) -> dict[str, str]:
    versions = [published_by(session, one.calibration_pid).get("tianyu_version", "") for one in observations]
    return {
        "observation": "; ".join(str(one.observation_id) for one in observations),
        "tianyu_version": "; ".join(dict.fromkeys(filter(None, versions))),
        "measurement": "forced: at places that were asked for, whatever is there; no detections of sources",
        "limit": "3 standard deviations above the flux, or above 0 where that is negative, where flux < 3 errors",
    }
