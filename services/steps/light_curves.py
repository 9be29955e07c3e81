"""What `calibrate_relative`, `detrend` and `analyze` read: the sources, images and apertures of a graph."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.images import CALIBRATED
from schema.photometry import Aperture
from schema.processes import Process
from schema.queries import images
from schema.skies import Source, SourcePosition
from services.steps.gaia_stars import GaiaStars, gaia_stars


@dataclass(frozen=True)
class GraphAxes:
    """The axes of an observation's light curves: sources by id, images by time, whoever was processed first."""

    source_ids: NDArray[np.int64]  # [n_sources]
    xy: NDArray[np.float64]  # [n_sources, 2], template pixels
    brightness: NDArray[np.float64]  # [n_sources], ADU, on the template; NaN where it was not measured
    radec: NDArray[np.float64]  # [n_sources, 2], degrees; NaN without WCS
    image_ids: NDArray[np.int64]  # [n_images]
    good: NDArray[np.bool_]  # [n_images]
    apertures: list[int]
    gaia: GaiaStars  # [n_sources]

    @property
    def gaia_variable(self) -> NDArray[np.bool_]:
        """bool[n_sources]; False where Gaia does not know the star."""
        return self.gaia.variable

    @property
    def gaia_ratio(self) -> NDArray[np.float64]:
        """Second over first distance, float64[n_sources]; NaN where Gaia does not know the star."""
        return np.where(self.gaia.matched, self.gaia.distance_ratio, np.nan)


def graph_axes(session: Session, graph_pid: int) -> GraphAxes:
    """Read the axes of one graph."""
    detect = select(Process.pid).where(Process.graph_pid == graph_pid, Process.command == "detect").scalar_subquery()
    sources = session.execute(
        select(
            SourcePosition.source_id,
            SourcePosition.x,
            SourcePosition.y,
            SourcePosition.flux,
            Source.ra_deg,
            Source.dec_deg,
        )
        .join(Source, Source.source_id == SourcePosition.source_id)
        .where(SourcePosition.pid == detect)
        .order_by(SourcePosition.source_id)
    ).all()
    rows = sorted(images.of_graph(session, graph_pid, CALIBRATED), key=lambda row: (row.jd_utc or 0.0, row.pid))
    apertures = session.scalars(
        select(Aperture.aperture).where(Aperture.graph_pid == graph_pid).order_by(Aperture.aperture)
    ).all()
    source_ids = np.array([row.source_id for row in sources], dtype=np.int64)
    return GraphAxes(
        source_ids=source_ids,
        xy=np.array([(row.x, row.y) for row in sources], dtype=np.float64).reshape(-1, 2),
        brightness=np.array([row.flux for row in sources], dtype=np.float64),
        radec=np.array([(row.ra_deg, row.dec_deg) for row in sources], dtype=np.float64).reshape(-1, 2),
        image_ids=np.array([row.image_id for row in rows], dtype=np.int64),
        good=np.array([bool(row.good) for row in rows], dtype=bool),
        apertures=list(apertures),
        gaia=gaia_stars(session, source_ids),
    )
