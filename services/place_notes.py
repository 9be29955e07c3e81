"""What headers and instruments tell wrongly of where a field is and how it is turned, as its stars say."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import axes_apart_deg, separation_arcsec
from pipeline.units import ARCSEC
from schema.observing import Observation, ToldPlace
from schema.skies import PlateSolution
from services.shown import axis

SAME_AXIS_DEG = 5.0  # cameras are turned by hand, and rotators have a zero point
HALF = 180.0  # a turn of which is none
RIGHT_DEG = 1.0  # the worst mounts, and places of date beside places of 2000; or as far as the field reaches


def place_notes(session: Session, observations: Iterable[int]) -> dict[int, list[str]]:
    """Notes by observation where the newest solution is far from a place, or turned otherwise than told."""
    wanted = set(observations)
    if not wanted:
        return {}
    turned = select(Observation).where(
        Observation.observation_id.in_(wanted),
        or_(Observation.position_angle_deg.is_not(None), Observation.mirrored.is_not(None)),
    )
    axes = {one.observation_id: one for one in session.scalars(turned)}
    told = defaultdict(list)
    places = select(ToldPlace).where(ToldPlace.observation_id.in_(wanted)).order_by(ToldPlace.number)
    for row in session.scalars(places):
        told[row.observation_id].append(row)
    newest = (
        select(func.max(PlateSolution.pid))
        .where(PlateSolution.solved, PlateSolution.observation_id.in_({*told, *axes}))
        .group_by(PlateSolution.observation_id)
    )
    found = {}
    for solution in session.scalars(select(PlateSolution).where(PlateSolution.pid.in_(newest))):
        number = solution.observation_id or 0
        notes = (_note(solution, told[number]) if number in told else None, _axis_note(solution, axes.get(number)))
        found[number] = [note for note in notes if note is not None]
    return found


def _axis_note(solution: PlateSolution, told: Observation | None) -> str | None:
    """Half a turn is none: a German mount makes it when it changes sides."""
    if told is None:
        return None
    wrong = []
    angle, found = told.position_angle_deg, solution.position_angle_deg
    if angle is not None and found is not None and axes_apart_deg(angle, found) > SAME_AXIS_DEG:
        wrong.append(f"its y axis points {axis(found, HALF)} degrees east of north, told were {axis(angle, HALF)}")
    if None not in (told.mirrored, solution.mirrored) and told.mirrored != solution.mirrored:
        wrong.append("it is mirrored, told was that it is not" if solution.mirrored else "it is not mirrored as told")
    if not wrong:
        return None
    return f"by its stars the image is turned otherwise than told: {'; '.join(wrong)}: was the camera taken off?"


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
