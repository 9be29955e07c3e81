"""What `analyze` found of an observation's stars, as arrays, and which of them are saturated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from schema.image import Image
from schema.photometry import Flux, LightCurveStatistics

NOISE_PARTS = ("source", "sky", "read", "dark", "flat", "scintillation", "reference")  # columns noise_*
SATURATION_CHECKS = 100  # brightest stars whose flags are read
MAX_SATURATED_SHARE = 0.05  # of its epochs: a single cosmic ray does not make a star saturated


@dataclass(frozen=True)
class Stars:
    """Stars with a light curve in their best aperture, brightest first; ``[n]`` each, fluxes relative or ADU."""

    source_id: NDArray[np.int64]
    flux: NDArray[np.float64]  # median raw flux, ADU
    scatter: NDArray[np.float64]
    error: NDArray[np.float64]  # median quoted error of a point
    epochs: NDArray[np.int64]
    aperture: NDArray[np.int64]  # the best one


@dataclass(frozen=True)
class Prediction:
    """What the noise model says of the stars of `read_stars`, in their order; relative, ``[n]``, NaN where unknown."""

    scatter: NDArray[np.float64]
    parts: dict[str, NDArray[np.float64]]  # source, sky, read, dark, flat, scintillation, reference
    cdpp_achieved: NDArray[np.float64]
    cdpp: NDArray[np.float64]


def read_stars(session: Session, analysis_pid: int | None) -> Stars:
    """Stars of positive flux, scatter and error, by the `analyze` with this PID; none before it has run."""
    table = _read(
        session,
        analysis_pid,
        LightCurveStatistics.source_id,
        LightCurveStatistics.flux_median,
        LightCurveStatistics.scatter,
        LightCurveStatistics.error_median,
        LightCurveStatistics.epochs,
        LightCurveStatistics.aperture,
    )
    return Stars(
        source_id=table[:, 0].astype(np.int64),
        flux=table[:, 1],
        scatter=table[:, 2],
        error=table[:, 3],
        epochs=table[:, 4].astype(np.int64),
        aperture=table[:, 5].astype(np.int64),
    )


def read_prediction(session: Session, analysis_pid: int | None) -> Prediction:
    """What the noise model predicted for the stars of `read_stars`."""
    columns = [getattr(LightCurveStatistics, f"noise_{part}") for part in NOISE_PARTS]
    table = _read(
        session,
        analysis_pid,
        LightCurveStatistics.expected_scatter,
        LightCurveStatistics.cdpp,
        LightCurveStatistics.expected_cdpp,
        *columns,
    )
    parts = dict(zip(NOISE_PARTS, table.T[3:], strict=True))
    return Prediction(scatter=table[:, 0], parts=parts, cdpp_achieved=table[:, 1], cdpp=table[:, 2])


def _read(session: Session, analysis_pid: int | None, *columns: Any) -> NDArray[np.float64]:
    """``[stars, columns]``, brightest first, NULL as NaN."""
    rows = session.execute(
        select(*columns)
        .where(
            LightCurveStatistics.pid == analysis_pid,
            LightCurveStatistics.best_aperture.is_(True),
            LightCurveStatistics.flux_median > 0,
            LightCurveStatistics.scatter > 0,
            LightCurveStatistics.error_median > 0,
        )
        .order_by(LightCurveStatistics.flux_median.desc(), LightCurveStatistics.source_id)
    ).all()
    return np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, len(columns))


def saturated(session: Session, graph_pid: int | None, source_ids: Sequence[int]) -> set[int]:
    """Those of a few sources whose apertures are flagged as saturated; reads all their fluxes of one graph."""
    flagged = func.sum(case((Flux.flag.bitwise_and(int(Flag.SATURATED)) > 0, 1), else_=0))
    query = (
        select(Flux.source_id)
        .join(Image, Image.image_id == Flux.image_id)
        .where(Flux.source_id.in_(source_ids), Image.graph_pid == graph_pid)
        .group_by(Flux.source_id)
        .having(flagged > MAX_SATURATED_SHARE * func.count())
    )
    return set(session.scalars(query))


def brightest_saturated(session: Session, graph_pid: int | None, stars: Stars) -> NDArray[np.bool_]:
    """Which stars are saturated, bool[n]; only the brightest are looked at, for no other is."""
    brightest = stars.source_id[:SATURATION_CHECKS].tolist()
    return np.isin(stars.source_id, list(saturated(session, graph_pid, brightest)))
