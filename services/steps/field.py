"""The field of a graph's frames on the celestial sphere: its WCS on the template, and where it was seen from."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from pipeline.as_seen import COLUMNS, as_seen
from pipeline.astrometry.sky_wcs import SkyWcs
from schema.frames import Frame
from schema.observing import Observation, ObsSite
from schema.queries.measurements import none_for_nan
from services.steps.sky_registration import solution_of, wcs_of

FIELDS_KEPT = 4


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


_kept: WeakKeyDictionary[Engine, OrderedDict[int, Field]] = WeakKeyDictionary()


def field_of(session: Session, solved: int | None, observation_id: int | None) -> Field | None:
    """The field that a `solve` found, read once by each worker; None while it has not found any."""
    if solved is None:
        return None
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    kept = _kept.setdefault(engine, OrderedDict())
    if solved not in kept:
        solution = solution_of(session, solved)
        wcs = wcs_of(solution)
        if solution is None or wcs is None or solution.ra_deg is None or solution.dec_deg is None:
            return None  # it may be solved later
        location = _location(session, observation_id)
        kept[solved] = Field(wcs, (solution.ra_deg, solution.dec_deg), location)
        while len(kept) > FIELDS_KEPT:
            kept.popitem(last=False)
    return kept[solved]


def _location(session: Session, observation_id: int | None) -> tuple[float, float, float] | None:
    row = session.execute(
        select(ObsSite.longitude_deg, ObsSite.latitude_deg, ObsSite.elevation_m)
        .join(Observation, Observation.obs_site_id == ObsSite.obs_site_id)
        .where(Observation.observation_id == observation_id)
    ).one_or_none()
    if row is None or row.longitude_deg is None or row.latitude_deg is None:
        return None
    return row.longitude_deg, row.latitude_deg, row.elevation_m or 0.0
