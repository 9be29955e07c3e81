"""The field of a graph's frames on the celestial sphere: its WCS on the template, and where it was seen from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registration.alignment import Alignment
from pipeline.sky.as_seen import COLUMNS, as_seen
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema.frame import Frame
from schema.observing import Observation, ObsSite
from schema.queries.measurements import none_for_nan
from services.steps.shared.header_rows import sky_cards
from services.steps.shared.sky_registration import solution_of, wcs_of
from services.steps.shared.step import Context


@dataclass(frozen=True)
class Field:
    """A solved field: the template's WCS, its centre (ICRS, degrees), and the observatory.

    ``location``: east longitude and latitude, degrees, and height, m; None where it is not known.
    """

    wcs: SkyWcs
    centre: tuple[float, float]
    location: tuple[float, float, float] | None

    def seen_in(self, frame: Frame) -> dict[str, Any] | None:
        """Columns of table frame_sight, of the field's centre as it was solved; None for a frame without a time."""
        if frame.jd_utc is None:
            return None
        columns = as_seen(np.array([frame.jd_utc]), *self.centre, self.location)
        return dict.fromkeys(COLUMNS) | {name: none_for_nan(values)[0] for name, values in columns.items()}

    def cards_of(self, frame: Frame, alignment: Alignment, seen: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is to stand in the header of a frame that is aligned with the template: its WCS, place and times.

        ``seen``: what `seen_in` says of it.
        """
        wcs = self.wcs.through(alignment)
        return wcs.cards() | sky_cards(wcs.centre((frame.ny or 0, frame.nx or 0)), seen)


def field_of(context: Context, session: Session, solved: int | None) -> Field | None:
    """The field that a `solve` found, read once by each worker; None while it has not found any."""
    if solved is None:
        return None
    return context.once("field", solved, lambda: _read(session, solved, context.observation_id))


def _read(session: Session, solved: int, observation_id: int | None) -> Field | None:
    solution = solution_of(session, solved)
    wcs = wcs_of(solution)
    if solution is None or wcs is None or solution.ra_deg is None or solution.dec_deg is None:
        return None
    return Field(wcs, (solution.ra_deg, solution.dec_deg), _location(session, observation_id))


def _location(session: Session, observation_id: int | None) -> tuple[float, float, float] | None:
    row = session.execute(
        select(ObsSite.longitude_deg, ObsSite.latitude_deg, ObsSite.elevation_m)
        .join(Observation, Observation.obs_site_id == ObsSite.obs_site_id)
        .where(Observation.observation_id == observation_id)
    ).one_or_none()
    if row is None or row.longitude_deg is None or row.latitude_deg is None:
        return None
    return row.longitude_deg, row.latitude_deg, row.elevation_m or 0.0
