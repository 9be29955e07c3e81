"""`force_fluxes`: aperture fluxes of one calibrated image at places that were asked for, as `extract` measures."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.aperture.crowding import light_brought
from pipeline.flags import Flag
from pipeline.nearest import nearest_of
from schema.forced import ForcedFlux
from schema.image import CALIBRATED, TEMPLATE
from schema.queries.measurements import insert_rows, none_for_nan
from services.steps.force_places import NOT_ASKED, places_in_field, wants_places
from services.steps.shared.apertures import APERTURE_CHOICES
from services.steps.shared.frame_fluxes import FrameToMeasure
from services.steps.shared.needs import Each, required
from services.steps.shared.step import Context, Outputs, Parameters, Step

COLUMNS = ("placed_pid", "place", "image_id", "aperture", "pid", "flux", "flux_error", "flag")

Floats = NDArray[np.float64]


class ForceFluxesParameters(Parameters):
    """PIDs of the `calibrate` whose image is measured, of the `detect`, and of the `force_places`."""

    calibrated: int
    detected: int
    placed: int


def run(context: Context, parameters: ForceFluxesParameters) -> Outputs | None:
    """Measure the places beside the sources, by the same call; places outside of the template are left out."""
    with context.reading() as session:
        rows = places_in_field(session, parameters.placed)
        if not rows:
            return None
        frame = FrameToMeasure.of(context, session, parameters.calibrated, parameters.detected)
    numbers = [row.place for row in rows]
    xy = np.array([(row.x, row.y) for row in rows])
    measured, _ = frame.measure(context, xy)
    own = slice(len(frame.sources.xy), None)
    flux, error = measured.flux[own], measured.error[own]
    flag = measured.flag[own] | int(Flag.FORCED)
    flag[~np.isfinite(flux)] |= int(Flag.MISSING)
    brought = neighbours_light(frame, xy, np.array([row.is_source for row in rows]))
    with np.errstate(invalid="ignore"):
        flag[brought > error] |= int(Flag.CROWDED)
    image_id, apertures = frame.image.image_id, flux.shape[1]

    def write(session: Session) -> None:
        number = len(numbers)
        for aperture in range(apertures):
            told = (none_for_nan(flux[:, aperture]), none_for_nan(error[:, aperture]), flag[:, aperture].tolist())
            key = ([parameters.placed] * number, numbers, [image_id] * number, [aperture] * number)
            insert_rows(session, ForcedFlux.__table__, COLUMNS, zip(*key, [context.pid] * number, *told, strict=True))

    return write


def neighbours_light(frame: FrameToMeasure, xy: Floats, is_source: NDArray[np.bool_]) -> Floats:
    """Light of the template's sources in the circles at places, ADU, without that of a source that stands at the place.

    Args:
        frame: on which the circles are.
        xy: float64[m, 2], template pixels.
        is_source: bool[m], whether the nearest source is what is measured there.

    Returns:
        float64[m, k]; of all light where the sky was clearest, for a cloud lets only less of it through.
    """
    sources, fwhm = frame.sources, frame.image.fwhm or frame.sources.apertures[0].fwhm or 1.0
    _, nearest = nearest_of(sources.xy, xy)
    without = np.where(is_source, nearest, -1)
    radii = frame.apertures(with_ellipses=False).radii
    return np.column_stack([light_brought(xy, sources.xy, sources.light, radius, fwhm, without) for radius in radii])


FORCE_FLUXES = Step(
    "force_fluxes",
    ForceFluxesParameters,
    run,
    gives="fluxes, errors and flags at places where nothing was found",
    each=Each.FRAME,
    needs=(
        required("calibrate", "calibrated"),
        required("align"),
        required("detect", "detected"),
        required("force_places", "placed"),
    ),
    reads=APERTURE_CHOICES,
    opens=(CALIBRATED,),
    uses=(TEMPLATE,),  # tells hits from stars
    anywhere=True,
    tables=(ForcedFlux,),
    joins=True,
    wanted=wants_places,
    missing=NOT_ASKED,
)
