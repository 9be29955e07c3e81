"""Which of the places that an observation's headers tell was right, where its stars have said where the field is."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC
from schema.observing import ToldPlace
from schema.skies import PlateSolution

RIGHT_DEG = 1.0  # the worst mounts, and places of date beside places of 2000; or as far as the field reaches


def place_notes(session: Session, observations: Iterable[int]) -> dict[int, str]:
    """A note by observation where the newest solution is far from a place that headers tell."""
    wanted = set(observations)
    if not wanted:
        return {}
    told = defaultdict(list)
    places = select(ToldPlace).where(ToldPlace.observation_id.in_(wanted)).order_by(ToldPlace.number)
    for row in session.scalars(places):
        told[row.observation_id].append(row)
    newest = (
        select(func.max(PlateSolution.pid))
        .where(PlateSolution.solved, PlateSolution.observation_id.in_(told))
        .group_by(PlateSolution.observation_id)
    )
    found = {}
    for solution in session.scalars(select(PlateSolution).where(PlateSolution.pid.in_(newest))):
        if note := _note(solution, told[solution.observation_id or 0]):
            found[solution.observation_id or 0] = note
    return found


def _note(solution: PlateSolution, told: list[ToldPlace]) -> str | None:
    here = np.array([[solution.ra_deg, solution.dec_deg]], dtype=np.float64)
    places = np.array([[place.ra_deg, place.dec_deg] for place in told])
    off = separation_arcsec(here, places) / ARCSEC
    is_right = off <= max(RIGHT_DEG, solution.radius_deg or 0.0)
    in_hours = [place.told_by.endswith("in hours") for place in told]  # of a pair that may be of either unit
    wrong = [
        f"{place.told_by} {distance:.3g} degrees off"
        for place, distance, right, hours in zip(told, off, is_right, in_hours, strict=True)
        if not right and not (hours and place.number)
    ]
    if not wrong:
        return None
    right = " and ".join(place.told_by for place, is_so in zip(told, is_right, strict=True) if is_so)
    return (
        f"by its stars the field is at {solution.ra_deg:.3f} {solution.dec_deg:+.3f}, from where barycentric times and "
        f"airmass are: {right + ' tells so' if right else 'no header tells so'}, {' and '.join(wrong)}"
    )
