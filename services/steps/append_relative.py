"""`append_relative`: relative fluxes of frames that came after a relative calibration, by its reference stars.

The rows stand under the calibration's PID, and table `later_frame` says that this process made them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.light_curves import LightCurves
from pipeline.relative import SharedLight, calibrate_later, hits_may_hide, spikes
from pipeline.relative.lone_spikes import BESIDE
from schema.photometry import LaterFrame, RelativeFlux
from schema.processes import SUCCEEDED, Process
from schema.queries.measurements import RelativeFluxes, flux_matrices, insert_relative_fluxes, insert_rows
from services.log import get_logger
from services.steps.extract import EXTRACT
from services.steps.shared.fixed_calibration import fixed_of
from services.steps.shared.graph_fluxes import GraphAxes, apertures_of, graph_axes, light_reach, usual_fwhm
from services.steps.shared.needs import KNOWN, Each, optional, required, some_of
from services.steps.shared.step import Context, Outputs, Parameters, Step

log = get_logger("append_relative")


class AppendRelativeParameters(Parameters):
    """The method, PID of the `calibrate_relative` that the frames go by, and those of the `extract` of the frames."""

    method: str
    calibration: int
    extracted: tuple[int, ...]


def run(context: Context, parameters: AppendRelativeParameters) -> Outputs | None:
    """Divide the frames, each aperture by itself, beside good frames that tell what stands alone."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid, context.pid)
        later = _later(session, axes, parameters)
        if not later.any():
            log.info("no frame to append", calibration=parameters.calibration)
            return None
        fixed = fixed_of(session, context.pid, axes, parameters.calibration)
        fwhm = usual_fwhm([frame for frame in axes.frames if frame.pid < parameters.calibration])
        reach = light_reach(apertures_of(session, context.graph_pid), float(np.nan_to_num(fwhm)))
        seen = later | _beside(later, axes.good)
        raws = dict(flux_matrices(session, axes.apertures, axes.source_ids, axes.image_ids[seen]))
    found: dict[int, RelativeFluxes] = {}
    for aperture, raw in raws.items():
        curves = calibrate_later(
            LightCurves(*raw, axes.good[seen], axes.xy, axes.time[seen]),
            fixed[aperture],
            SharedLight.within(axes.xy, reach[aperture]),
        )
        if hits_may_hide(fwhm):
            curves = replace(curves, error=np.hypot(curves.error, spikes(curves)))
        found[aperture] = RelativeFluxes(curves.flux[:, later[seen]], curves.error[:, later[seen]])
    images = axes.image_ids[later]

    def write(session: Session) -> None:
        insert_relative_fluxes(session, parameters.calibration, axes.source_ids, images, found)
        rows = ((parameters.calibration, image, context.pid) for image in images.tolist())
        insert_rows(session, LaterFrame.__table__, ("calibration_pid", "image_id", "pid"), rows)

    return write


def _later(session: Session, axes: GraphAxes, parameters: AppendRelativeParameters) -> NDArray[np.bool_]:
    """Which frames are to be appended: those that were measured and that another attempt has not appended; bool[t]."""
    query = select(Process.parameters).where(Process.pid.in_(parameters.extracted), Process.status == SUCCEEDED)
    made = [EXTRACT.parameters.model_validate_json(told).calibrated for told in session.scalars(query)]
    there = session.scalars(select(LaterFrame.image_id).where(LaterFrame.calibration_pid == parameters.calibration))
    measured = np.isin([frame.pid for frame in axes.frames], made)
    return np.asarray(measured & ~np.isin(axes.image_ids, there.all()))


def _beside(later: NDArray[np.bool_], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Good frames near those that are to be appended, of which BESIDE tell whether a point stands alone; bool[t]."""
    from scipy.ndimage import binary_dilation  # type: ignore[attr-defined]  # see pipeline/__init__.py

    places = np.flatnonzero(good | later)
    near = binary_dilation(later[places], np.ones(2 * BESIDE + 1))
    beside = np.zeros_like(later)
    beside[places[near]] = True
    return beside


APPEND_RELATIVE = Step(
    "append_relative",
    AppendRelativeParameters,
    run,
    gives="relative fluxes of frames that came later, between two `calibrate_relative` of a live night",
    each=Each.METHOD,
    needs=(
        required("calibrate_relative", "calibration"),
        required("select", template=KNOWN),
        some_of("extract", all_into="extracted", or_no_good=True),
        optional("place_frames"),
    ),
    anywhere=True,
    tables=(RelativeFlux, LaterFrame),
    joins=True,
    wanted=lambda _: False,
    unwanted="`tianyu watch` appends frames between whole calibrations; ask for calibrate_relative",
)
