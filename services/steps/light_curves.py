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
from schema.skies import Source, SourceCrossmatch, SourcePosition


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
    gaia_variable: NDArray[np.bool_]  # [n_sources]; False where Gaia is not known
    gaia_ratio: NDArray[np.float64]  # [n_sources]; second over first distance, NaN where Gaia is not known


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
    variable, ratio = _gaia(session, source_ids)
    return GraphAxes(
        source_ids=source_ids,
        xy=np.array([(row.x, row.y) for row in sources], dtype=np.float64).reshape(-1, 2),
        brightness=np.array([row.flux for row in sources], dtype=np.float64),
        radec=np.array([(row.ra_deg, row.dec_deg) for row in sources], dtype=np.float64).reshape(-1, 2),
        image_ids=np.array([row.image_id for row in rows], dtype=np.int64),
        good=np.array([bool(row.good) for row in rows], dtype=bool),
        apertures=list(apertures),
        gaia_variable=variable,
        gaia_ratio=ratio,
    )


def _gaia(session: Session, source_ids: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    variable = np.zeros(source_ids.size, dtype=bool)
    distance = np.full((source_ids.size, 2), np.nan)
    if source_ids.size:
        rows = session.execute(
            select(
                SourceCrossmatch.source_id,
                SourceCrossmatch.match_rank,
                SourceCrossmatch.distance_arcsec,
                SourceCrossmatch.variable,
            ).where(
                SourceCrossmatch.source_id.between(int(source_ids[0]), int(source_ids[-1])),
                SourceCrossmatch.match_rank <= 2,
            )
        )
        position = {source_id: index for index, source_id in enumerate(source_ids.tolist())}
        for source_id, rank, arcsec, is_variable in rows:
            index = position.get(source_id)
            if index is not None:
                distance[index, rank - 1] = arcsec
                if rank == 1:
                    variable[index] = bool(is_variable)
    with np.errstate(divide="ignore", invalid="ignore"):
        return variable, distance[:, 1] / distance[:, 0]
