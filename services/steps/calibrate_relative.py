"""`calibrate_relative`: fluxes relative to reference stars, by one method; several methods stand side by side."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline.relative import (
    Candidates,
    RelativeLightCurves,
    Relaxation,
    calibrate_ensemble,
    calibrate_grouped,
    ensemble_candidates,
    reference_candidates,
)
from schema.observing import Observation
from schema.photometry import ReferenceStar
from schema.queries.measurements import flux_matrix, insert_relative_fluxes, insert_rows, none_for_nan
from services.errors import DataError
from services.log import get_logger
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.light_curves import GraphAxes, graph_axes

log = get_logger("calibrate_relative")


class CalibrateRelativeParameters(Parameters):
    """The method, and whether it is the one that the views show."""

    method: Literal["ensemble", "paper"]
    default: bool


Calibrated = tuple[Candidates, RelativeLightCurves]


def _ensemble(flux: NDArray[Any], error: NDArray[Any], flag: NDArray[Any], axes: GraphAxes) -> Calibrated:
    candidates = ensemble_candidates(flux, error, flag, axes.good, axes.gaia_variable)
    return candidates, calibrate_ensemble(flux, error, candidates.mask, axes.good)


def _paper(flux: NDArray[Any], error: NDArray[Any], flag: NDArray[Any], axes: GraphAxes) -> Calibrated:
    candidates = reference_candidates(
        flux, error, flag, axes.xy, axes.good, gaia_variable=axes.gaia_variable, gaia_ratio=axes.gaia_ratio
    )
    return candidates, calibrate_grouped(flux, error, axes.xy, candidates.mask, axes.good)


METHODS: dict[str, Callable[..., Calibrated]] = {"ensemble": _ensemble, "paper": _paper}


def run(context: Context, parameters: CalibrateRelativeParameters) -> Outputs:
    """Calibrate each aperture by itself."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid)
        if not axes.source_ids.size or not axes.good.any():
            raise DataError(
                f"process {context.pid}: observation {context.observation_id} has no good frame with sources"
            )
        curves = {aperture: _calibrate(session, axes, aperture, parameters.method) for aperture in axes.apertures}
    if not any(np.isfinite(curve.flux).any() for curve in curves.values()):
        raise DataError(
            f"process {context.pid}: no star of observation {context.observation_id} could be calibrated by "
            f"{parameters.method}: at least two stars must be measured on the same good frames"
        )

    def write(session: Session) -> None:
        for aperture, curve in curves.items():
            _write(session, context.pid, parameters.method, aperture, axes, curve)
        if parameters.default:
            session.execute(
                update(Observation)
                .where(Observation.observation_id == context.observation_id)
                .values(calibration_pid=context.pid, graph_pid=context.graph_pid)
            )

    return write


def _calibrate(session: Session, axes: GraphAxes, aperture: int, method: str) -> RelativeLightCurves:
    flux, error, flag = flux_matrix(session, aperture, axes.source_ids, axes.image_ids)
    candidates, curves = METHODS[method](flux, error, flag, axes)
    if candidates.relaxation is not Relaxation.NONE:
        log.warning("rules for reference stars relaxed", aperture=aperture, step=candidates.relaxation.name)
    return curves


def _write(session: Session, pid: int, method: str, aperture: int, axes: GraphAxes, curve: RelativeLightCurves) -> None:
    insert_relative_fluxes(session, pid, aperture, axes.source_ids, axes.image_ids, curve.flux, curve.error)
    n = axes.source_ids.size
    insert_rows(
        session,
        ReferenceStar.__table__,
        ("pid", "source_id", "aperture", "method", "reference_group", "is_reference", "weight"),
        zip(
            [pid] * n,
            axes.source_ids.tolist(),
            [aperture] * n,
            [method] * n,
            curve.group.tolist(),
            curve.is_reference.tolist(),
            none_for_nan(curve.weight),
            strict=True,
        ),
    )


CALIBRATE_RELATIVE = Step("calibrate_relative", CalibrateRelativeParameters, run)
