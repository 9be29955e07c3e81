"""Fluxes and upper limits at places that were asked for, whatever is there: no light curves of sources."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table

from tianyu.asking import Asked
from tianyu.client_questions import FORCED
from tianyu.columns import table_of
from tianyu.errors import NotFoundError
from tianyu.light_curve_rows import ApertureChoice
from tianyu.targets import Target, bare_name, chunks, place_of

SAME_PLACE_ARCSEC = 1.0
NAMES_A_QUESTION = 20  # a night's points of so many places are far fewer rows than an answer holds


def forced(
    asked: Asked,
    targets: Sequence[Target] | None,
    observations: Mapping[int, Mapping[str, Any]],
    aperture: ApertureChoice,
    within_arcsec: float,
    *,
    usable_only: bool,
) -> Table:
    """Points of some places, or of all that were asked for, by place and time.

    Args:
        asked: where the answers come from.
        targets: names as they were asked for, or places; None: all.
        observations: that are looked at, by id.
        aperture: ``best`` is the smallest circle.
        within_arcsec: how far from a place that is given the one may lie that was asked for.
        usable_only: without points that were not measured well.

    Returns:
        A table whose ``meta["places"]`` says of each place and night where it lies, and ``meta["missing"]`` of each
        target without points why, by its place in the list.
    """
    there = [row for row in asked.rows("forced_places")[1] if row.observation_id in observations]
    wanted = list(dict.fromkeys(row.name for row in there)) if targets is None else list(targets)
    meant = [_meant(one, there, within_arcsec) for one in wanted]
    rows: list[tuple[Any, ...]] = []
    missing: dict[int, str] = {}
    for number, places in enumerate(meant):
        if not places:
            missing[number] = "nobody asked for flux there: `tianyu publish --forced` does"
        elif not any(row.inside for row in places):
            missing[number] = "it lies outside of the field of each of these nights"
    for observation in observations:
        of_night: dict[str, list[int]] = {}
        for number, places in enumerate(meant):
            for row in places:
                if row.observation_id == observation and row.inside:
                    of_night.setdefault(row.name, []).append(number)
        for part in chunks(list(of_night), NAMES_A_QUESTION):
            for row in asked.rows("forced_points", observation=observation, targets=part)[1]:
                best = aperture == "all" or (row.aperture_best if aperture == "best" else row.aperture == aperture)
                if best and (row.usable or not usable_only):
                    band = observations[observation]["filter"]
                    rows += [(number, band, *row) for number in of_night[row.target]]
    rows.sort(key=lambda row: (row[0], row[2 + FORCED.index("jd_utc")] or np.inf))
    table = table_of(("place", "filter", *FORCED), rows)
    table.add_column(
        Column(np.ones(len(rows), dtype=bool), description="asked for: no detection of a source"), name="forced"
    )
    there_now = {row[0] for row in rows}
    without = f"no {'usable ' * usable_only}points in these observations"
    missing |= {number: without for number in range(len(wanted)) if number not in there_now and number not in missing}
    table.meta = {
        "database": asked.place,
        "measurement": "forced: at places that were asked for, whatever is there; no detections of sources",
        "places": [row._asdict() for row in there],
        "missing": missing,
    }
    return table


def _meant(target: Target, there: Sequence[Any], within_arcsec: float) -> list[Any]:
    """Those of a name, else those at a place."""
    if isinstance(target, str) and (named := [row for row in there if bare_name(row.name) == bare_name(target)]):
        return named
    place = None if isinstance(target, (int, np.integer)) else place_of(target)
    if place is None:
        if isinstance(target, str):
            return []
        raise NotFoundError(f"{target!r} names no place: expected the name under which it was asked for, or a place")
    if not there:
        return []
    away = place.separation(SkyCoord([row.ra_deg for row in there], [row.dec_deg for row in there], unit="deg"))
    return [row for row, distance in zip(there, away.arcsec, strict=True) if distance <= within_arcsec]
