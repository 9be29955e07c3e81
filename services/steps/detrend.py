"""`detrend`: the shown light curves freed of what stars still share, beside the relative ones, which stay."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline.detrend import Detrended, Field, detrend_sysrem, detrend_tfa, detrend_trends
from schema.observing import Observation
from schema.photometry import ReferenceStar, RelativeFlux
from schema.queries import frames
from schema.queries.measurements import RelativeFluxes, insert_relative_fluxes, relative_matrices
from services.choices import Choices
from services.log import get_logger
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, raw_fluxes
from services.steps.shared.image_columns import column
from services.steps.shared.named_stars import NamedStars, star_mask, stars_of
from services.steps.shared.needs import Each, required
from services.steps.shared.step import Context, Method, Outputs, Parameters, Step

log = get_logger("detrend")
VECTORS = ("airmass", "fwhm", "dx", "dy", "background")  # what `trends` may find in light curves


class DetrendParameters(Parameters):
    """PID of the `calibrate_relative` whose light curves are detrended, the method, and stars not to be fitted."""

    calibration: int
    method: Literal["sysrem", "tfa", "trends"]
    stars: NamedStars = NamedStars()


def run(context: Context, parameters: DetrendParameters) -> Outputs:
    """Detrend each aperture by itself; where no trend is found in any, the relative light curves stand for both."""
    with context.reading() as session:
        axes = graph_axes(session, context.graph_pid, context.pid)
        vectors = _vectors(session, context, axes)
        stars = parameters.stars
        targets = star_mask(stars.targets, axes, stars.match_px, stars.match_arcsec)
        found: dict[int, Detrended] = {}
        curves = relative_matrices(session, parameters.calibration, axes.apertures, axes.source_ids, axes.image_ids)
        for (aperture, raw), (_, (flux, error)) in zip(raw_fluxes(context, session, axes), curves, strict=True):
            constant = _references(session, parameters.calibration, aperture, axes)
            field = Field(axes.light_curves(flux, error, raw.flag), axes.brightness, constant, targets)
            found[aperture] = _detrend(field, parameters.method, vectors)
            log.info(
                "trends found",
                aperture=aperture,
                trends=len(found[aperture].trends),
                guarded=int(found[aperture].guarded.sum()),
            )
    is_free = not any(len(detrended.trends) for detrended in found.values())

    def write(session: Session) -> None:
        if not is_free:
            curves = {number: RelativeFluxes(detrended.flux, detrended.error) for number, detrended in found.items()}
            insert_relative_fluxes(session, context.pid, axes.source_ids, axes.image_ids, curves)
        session.execute(
            update(Observation)
            .where(
                Observation.observation_id == context.observation_id,
                Observation.calibration_pid == parameters.calibration,
            )
            .values(detrend_pid=parameters.calibration if is_free else context.pid)
        )

    return write


def _detrend(field: Field, method: str, vectors: list[NDArray[np.float64]]) -> Detrended:
    if method == "trends":
        return detrend_trends(field, vectors)
    return detrend_tfa(field) if method == "tfa" else detrend_sysrem(field)


def _vectors(session: Session, context: Context, axes: GraphAxes) -> list[NDArray[np.float64]]:
    """What may steer light curves, image by image in the order of the axes; NaN where it was not measured."""
    rows = {row.image_id: row for row in frames.of_graph(session, context.graph_pid, context.pid)}
    ordered = [rows[image_id] for image_id in axes.image_ids.tolist()]
    return [column(ordered, name) for name in VECTORS]


def _references(session: Session, calibration: int, aperture: int, axes: GraphAxes) -> NDArray[np.bool_]:
    query = select(ReferenceStar.source_id).where(
        ReferenceStar.pid == calibration, ReferenceStar.aperture == aperture, ReferenceStar.is_reference.is_(True)
    )
    return np.isin(axes.source_ids, np.array(session.scalars(query).all(), dtype=np.int64))


def _chosen(choices: Choices, _: Method | None) -> dict[str, Any]:
    # A target's own light curve has no say in what is taken off it.
    stars = stars_of(choices).model_copy(update={"references": (), "checks": ()})
    return {"method": choices.detrend_method, "stars": stars}


DETREND = Step(
    "detrend",
    DetrendParameters,
    run,
    gives="detrended fluxes",
    each=Each.SHOWN,
    needs=(required("calibrate_relative", "calibration"),),
    chosen=_chosen,
    anywhere=True,
    tables=(RelativeFlux,),
    joins=True,
    wanted=lambda choices: choices.detrend_method != "none",
    unwanted="detrend_method is none; set it in tianyu.toml to sysrem, trends or tfa",
)
