"""`analyze`: how much each light curve scatters, beside what its quoted errors promise, and its best aperture."""

import numpy as np
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline.statistics import best_aperture, light_curve_statistics
from schema.observing import Observation
from schema.photometry import LightCurveStatistics
from schema.queries.measurements import insert_rows, none_for_nan, raw_flux_matrix, relative_matrix
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.light_curves import graph_axes

COLUMNS = (
    "pid",
    "source_id",
    "aperture",
    "observation_id",
    "calibration_pid",
    "epochs",
    "flux_median",
    "scatter",
    "standard_deviation",
    "point_to_point",
    "error_median",
    "chi2_reduced",
    "von_neumann",
    "best_aperture",
)


class AnalyzeParameters(Parameters):
    """PID of the `calibrate_relative` whose light curves are analysed, and whether the views show it."""

    calibration: int
    default: bool


def run(context: Context, parameters: AnalyzeParameters) -> Outputs:
    """Statistics over the good frames, for each source and aperture."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid)
        statistics, medians = [], []
        for aperture in axes.apertures:
            raw = raw_flux_matrix(session, aperture, axes.source_ids, axes.image_ids)
            flux, error = relative_matrix(session, parameters.calibration, aperture, axes.source_ids, axes.image_ids)
            statistics.append(light_curve_statistics(flux, error, axes.good))
            medians.append(_median(raw[:, axes.good]))
    best = best_aperture(np.column_stack([s.scatter for s in statistics]))

    def write(session: Session) -> None:
        n = axes.source_ids.size
        for number, (aperture, s) in enumerate(zip(axes.apertures, statistics, strict=True)):
            constants = [[value] * n for value in (context.observation_id, parameters.calibration)]
            measures = (
                medians[number],
                s.scatter,
                s.standard_deviation,
                s.point_to_point,
                s.median_error,
                s.chi2_reduced,
                s.von_neumann,
            )
            rows = zip(
                [context.pid] * n,
                axes.source_ids.tolist(),
                [aperture] * n,
                *constants,
                s.n.tolist(),
                *(none_for_nan(values) for values in measures),
                (best == number).tolist(),
                strict=True,
            )
            insert_rows(session, LightCurveStatistics.__table__, COLUMNS, rows)
        if parameters.default:
            session.execute(
                update(Observation)
                .where(Observation.observation_id == context.observation_id)
                .values(analysis_pid=context.pid)
            )

    return write


def _median(values: np.ndarray) -> np.ndarray:
    """Median over epochs, NaN for a source without any."""
    seen = np.isfinite(values).any(axis=1)
    result = np.full(values.shape[0], np.nan)
    result[seen] = np.nanmedian(values[seen], axis=1)
    return result


ANALYZE = Step("analyze", AnalyzeParameters, run)
