"""`analyze`: how light curves scatter, beside what the noise model promises, their best apertures, and who varies."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pipeline.aperture.best_aperture import best_apertures, scatters_to_compare
from pipeline.aperture.kron import Ellipses
from pipeline.aperture.noise_budget import ApertureNoise, NoiseBudget, noise_budget
from pipeline.flags import usable
from pipeline.light_curves import LightCurves
from pipeline.statistics import light_curve_statistics, row_median
from pipeline.variability.cdpp import PPM, cdpp, predicted_cdpp
from schema.frame import Frame
from schema.observing import Observation
from schema.photometry import Aperture, LightCurveStatistics, Variability
from schema.processes import Process
from schema.queries.measurements import insert_rows, none_for_nan
from services.choices import Choices
from services.steps.detect import DETECT
from services.steps.shared.apertures import KRON
from services.steps.shared.frame_noise import frame_noise
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, raw_fluxes, relative_fluxes
from services.steps.shared.needs import Each, required
from services.steps.shared.step import Context, Method, Outputs, Parameters, Step
from services.steps.shared.template_sources import template_sources
from services.steps.shared.variable_stars import BestCurves, find_variables, variability_columns

BLOCK_VALUES = 1 << 20  # of one matrix of light curves; some twenty are in memory at a time, 170 MB
NOISE_COLUMNS = {field.name: f"noise_{field.name}" for field in fields(NoiseBudget)} | {"total": "expected_scatter"}


class AnalyzeParameters(Parameters):
    """PID of the `calibrate_relative` whose light curves are analysed, and whether the views show it."""

    calibration: int
    default: bool


@dataclass(frozen=True)
class _Analysed:
    """One aperture: columns of table light_curve_statistics, and the signal-to-noise ratio of a point; ``[n]`` each.

    ``compared``: scatters by which apertures are compared, ``[3, n]``.
    """

    columns: dict[str, NDArray[np.float64]]
    epochs: NDArray[np.int64]
    snr: NDArray[np.float64]
    compared: NDArray[np.float64]


def run(context: Context, parameters: AnalyzeParameters) -> Outputs:
    """Statistics over the good frames, for each source and aperture, and of each source's variability."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid, context.pid)
        noise = _noise(context, session, [frame for frame in axes.frames if frame.good])
        timed = axes.good & np.isfinite(axes.time)
        curves = BestCurves(axes.source_ids.size, int(timed.sum()))
        analysed, best = _analyse(context, session, axes, timed, parameters.calibration, noise, curves)
        radius = session.scalar(select(func.max(Aperture.radius)).where(Aperture.graph_pid == context.graph_pid))
    best_snr = _best_snr(np.column_stack([found.snr for found in analysed.values()]))
    # Variables are sought in the light curves that the views show; those of other methods stand beside them.
    variability = (
        _variability(axes, timed, curves, analysed, best, float(radius or 0.0)) if parameters.default else None
    )

    def write(session: Session) -> None:
        n = axes.source_ids.size
        for number, (aperture, found) in enumerate(analysed.items()):
            values = {
                "pid": [context.pid] * n,
                "source_id": axes.source_ids.tolist(),
                "aperture": [aperture] * n,
                "observation_id": [context.observation_id] * n,
                "calibration_pid": [parameters.calibration] * n,
                "epochs": found.epochs.tolist(),
                **{name: none_for_nan(column) for name, column in found.columns.items()},
                "best_aperture": (best == number).tolist(),
                "best_snr": (best_snr == number).tolist(),
            }
            rows = zip(*values.values(), strict=True)
            insert_rows(session, LightCurveStatistics.__table__, tuple(values), rows)
        if variability is not None:
            values = {
                "pid": [context.pid] * n,
                "source_id": axes.source_ids.tolist(),
                "observation_id": [context.observation_id] * n,
                **variability,
            }
            insert_rows(session, Variability.__table__, tuple(values), zip(*values.values(), strict=True))
        if parameters.default:
            # Of the calibration that the views show: an earlier one may end last.
            shown = Observation.calibration_pid == parameters.calibration
            session.execute(
                update(Observation)
                .where(Observation.observation_id == context.observation_id, shown)
                .values(analysis_pid=context.pid)
            )

    return write


def _noise(context: Context, session: Session, frames: list[Frame]) -> dict[int, ApertureNoise]:
    """What is known of the noise of the good frames, by aperture."""
    noise = {}
    for aperture in session.scalars(select(Aperture).where(Aperture.graph_pid == context.graph_pid)).all():
        ellipses = _ellipses(context, session) if aperture.kind == KRON else None
        noise[aperture.aperture] = frame_noise(frames, aperture, ellipses)
    return noise


def _ellipses(context: Context, session: Session) -> Ellipses | None:
    detect = session.scalars(
        select(Process.pid).where(Process.graph_pid == context.graph_pid, Process.command == DETECT.command)
    ).one()
    return template_sources(context, session, detect).ellipses


def _analyse(
    context: Context,
    session: Session,
    axes: GraphAxes,
    timed: NDArray[np.bool_],
    calibration: int,
    noise: dict[int, ApertureNoise],
    curves: BestCurves,
) -> tuple[dict[int, _Analysed], NDArray[np.int64]]:
    """By aperture, and the best of each source; a block of sources at a time: memory does not grow with their number.

    Blocks are as large as each other: the stars of one are compared to choose their apertures.
    """
    parts: dict[int, list[_Analysed]] = {aperture: [] for aperture in axes.apertures}
    best = np.zeros(axes.source_ids.size, dtype=np.int64)
    most = max(1, BLOCK_VALUES // max(1, axes.image_ids.size * len(parts)))
    step = max(1, -(-axes.source_ids.size // max(1, -(-axes.source_ids.size // most))))
    for start in range(0, axes.source_ids.size, step):
        rows = slice(start, start + step)
        block: list[tuple[_Analysed, LightCurves]] = []
        relative_curves = relative_fluxes(context, session, axes, calibration, rows)
        both = zip(raw_fluxes(context, session, axes, rows), relative_curves, strict=True)
        for (aperture, (flux, error, flag)), (_, relative) in both:
            fit = usable(flux, flag)
            raw, found = (
                axes.light_curves(np.where(fit, values, np.nan), errors, flag, rows)
                for values, errors in ((flux, error), relative)
            )
            part = _block(raw, found, noise[aperture].of_sources(rows))
            chosen = found.frames(timed)
            part.columns.update(_cdpp(chosen))
            block.append((part, chosen))
            parts[aperture].append(part)
        best[rows] = _best([part for part, _ in block])
        for number, (part, chosen) in enumerate(block):
            # Too few points for a scatter are too few to vary.
            curves.keep(rows, (best[rows] == number) & np.isfinite(part.columns["scatter"]), chosen)
    return {aperture: _joined(blocks) for aperture, blocks in parts.items()}, best


def _best(parts: list[_Analysed]) -> NDArray[np.int64]:
    """Number of the best aperture of each source of a block, int64[n]."""
    quoted, flux = (np.column_stack([part.columns[name] for part in parts]) for name in ("error_median", "flux_median"))
    return best_apertures(np.stack([part.compared for part in parts], axis=2), quoted, np.fmax.reduce(flux, axis=1))


def _joined(parts: list[_Analysed]) -> _Analysed:
    return _Analysed(
        columns={name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
        epochs=np.concatenate([part.epochs for part in parts]),
        snr=np.concatenate([part.snr for part in parts]),
        compared=np.concatenate([part.compared for part in parts], axis=1),
    )


def _block(raw: LightCurves, relative: LightCurves, noise: ApertureNoise) -> _Analysed:
    raw, relative = raw.frames(raw.good), relative.frames(relative.good)
    statistics = light_curve_statistics(relative.flux, relative.error, relative.good)
    budget = noise_budget(raw, relative, noise)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = 1.0 / np.sqrt(row_median(np.where(raw.flux > 0, np.square(raw.error / raw.flux), np.nan)))
    return _Analysed(
        columns={
            "flux_median": row_median(raw.flux),
            "scatter": statistics.scatter,
            "standard_deviation": statistics.standard_deviation,
            "point_to_point": statistics.point_to_point,
            "error_median": statistics.median_error,
            "chi2_reduced": statistics.chi2_reduced,
            "von_neumann": statistics.von_neumann,
            **{column: getattr(budget, name) for name, column in NOISE_COLUMNS.items()},
        },
        epochs=statistics.n,
        snr=snr,
        compared=scatters_to_compare(relative.flux),
    )


def _cdpp(curves: LightCurves) -> dict[str, NDArray[np.float64]]:
    """Columns cdpp and expected_cdpp of relative light curves."""
    if not curves.time.size:
        return {name: np.full(len(curves), np.nan) for name in ("cdpp", "expected_cdpp")}
    expected = predicted_cdpp(curves.time, curves.flux, curves.error)
    return {"cdpp": cdpp(curves.time, curves.flux) / PPM, "expected_cdpp": expected / PPM}


def _variability(
    axes: GraphAxes,
    timed: NDArray[np.bool_],
    curves: BestCurves,
    analysed: dict[int, _Analysed],
    best: NDArray[np.int64],
    radius: float,
) -> dict[str, list[Any]] | None:
    """Columns of table variability but the ids; None where no good frame has a time."""
    if not timed.any():
        return None
    flux = np.column_stack([found.columns["flux_median"] for found in analysed.values()])[np.arange(best.size), best]
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = -2.5 * np.log10(flux)
    chosen = [axes.frames[index] for index in np.flatnonzero(timed).tolist()]
    flag = np.broadcast_to(np.int32(0), curves.flux.shape)  # flagged points are NaN
    light_curves = LightCurves(curves.flux, curves.error, flag, axes.good[timed], axes.xy, axes.time[timed])
    found = find_variables(light_curves, magnitude, radius, chosen)
    return {"aperture": np.array(list(analysed))[best].tolist(), **variability_columns(found, curves.excess)}


def _best_snr(snr: NDArray[np.float64]) -> NDArray[np.int64]:
    """Aperture of the greatest signal-to-noise ratio of each star of float64[n, k]; -1 without any."""
    known = np.isfinite(snr)
    return np.where(known.any(axis=1), np.argmax(np.where(known, snr, -np.inf), axis=1), -1)


def _chosen(_: Choices, method: Method | None) -> dict[str, bool]:
    assert method is not None
    return {"default": method.shown}


ANALYZE = Step(
    "analyze",
    AnalyzeParameters,
    run,
    gives="scatter, best aperture, CDPP, noise that was to be expected, ranked variables",
    each=Each.METHOD,
    needs=(required("calibrate_relative", "calibration"),),
    chosen=_chosen,
    anywhere=True,
    tables=(LightCurveStatistics, Variability),
    joins=True,
)
