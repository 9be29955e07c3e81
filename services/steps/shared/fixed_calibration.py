"""What a relative calibration found, by which what it did not see is divided as well."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.relative import Fixed
from schema.photometry import ReferenceStar
from services.errors import DataError
from services.steps.shared.graph_fluxes import GraphAxes

FOUND = ("reference_group", "is_reference", "weight", "level", "mean_level", "scatter", "error_factor")


def fixed_of(session: Session, pid: int, axes: GraphAxes, calibration: int) -> dict[int, Fixed]:
    """What the calibration of process ``calibration`` found, by aperture, for process ``pid``.

    Raises:
        DataError: it is not of these stars, or of a Tianyu that did not write down all that is needed.
    """
    found: dict[int, Fixed] = {}
    method = session.scalar(select(ReferenceStar.method).where(ReferenceStar.pid == calibration).limit(1))
    for aperture in axes.apertures:
        rows = session.execute(
            select(ReferenceStar.source_id, *(getattr(ReferenceStar, name) for name in FOUND))
            .where(ReferenceStar.pid == calibration, ReferenceStar.aperture == aperture)
            .order_by(ReferenceStar.source_id)
        ).all()
        values = _columns(rows)
        if not np.array_equal(values[:, 0], axes.source_ids) or np.isnan(values[:, -1]).any():
            raise DataError(
                f"process {pid}: calibration {calibration} tells levels of {len(rows)} stars in aperture "
                f"{aperture}, not of the {axes.source_ids.size} stars of the template; publish the observation again"
            )
        group, is_reference, weight, level, mean_level, scatter, factor = values.T[1:]
        found[aperture] = Fixed(
            group.astype(np.int64),
            is_reference > 0,
            weight,
            level,
            mean_level,
            scatter,
            factor,
            by_weights=method == "ensemble",
        )
    return found


def _columns(rows: Sequence[object]) -> NDArray[np.float64]:
    """float64[n, 1 + FOUND]; NULL is NaN, and ids are exact up to 2^53."""
    return np.array(rows, dtype=np.float64).reshape(-1, 1 + len(FOUND))
