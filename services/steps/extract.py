"""`extract`: aperture fluxes of the template's sources on one calibrated image, at sub-pixel positions."""

import numpy as np
from sqlalchemy.orm import Session

from pipeline.aperture.growth import Growth
from pipeline.flags import Flag
from schema.found import FrameSight, MaskedPixels
from schema.image import CALIBRATED, TEMPLATE
from schema.photometry import ApertureCorrection, Flux
from schema.prepared import run as run_together
from schema.queries.finding import Finding
from schema.queries.measurements import insert_fluxes, insert_rows
from services.steps.shared.apertures import APERTURE_CHOICES
from services.steps.shared.detector_pixels import counts
from services.steps.shared.frame_fluxes import FrameToMeasure
from services.steps.shared.graph_field import field_of
from services.steps.shared.image_files import path_of
from services.steps.shared.needs import Each, named, required
from services.steps.shared.step import Context, Outputs, Parameters, Step

_MASKED, _SEEN = Finding(MaskedPixels), Finding(FrameSight)


class ExtractParameters(Parameters):
    """PIDs of the `calibrate` whose image is measured, of the `detect` that knows the sources, and of the `solve`."""

    calibrated: int
    detected: int
    solved: int | None = None


def run(context: Context, parameters: ExtractParameters) -> Outputs:
    """Carry the sources to the frame by its alignment, and measure; the image is never resampled."""
    with context.reading() as session:
        frame = FrameToMeasure.of(context, session, parameters.calibrated, parameters.detected)
        field = field_of(context, session, parameters.solved)
    image, sources, alignment = frame.image, frame.sources, frame.alignment
    measured, bits = frame.measure(context)
    flag = measured.flag | sources.flag
    flag[~np.isfinite(measured.flux)] |= int(Flag.MISSING)
    image_id = image.image_id
    key = {"image_id": image_id, "pid": context.pid}
    found = [*_MASKED(**key, **counts(bits))]
    if field is not None:
        seen = field.seen_in(image)
        context.images.add_cards(path_of(image), field.cards_of(image, alignment, seen))
        if seen is not None:
            found += _SEEN(**key, **seen)

    def write(session: Session) -> None:
        insert_fluxes(session, image_id, sources.source_ids, measured.flux, measured.error, flag)
        run_together(session, *found)
        if measured.growth is not None:
            _write_growth(session, image_id, measured.growth)

    return write


def _write_growth(session: Session, image_id: int, growth: Growth) -> None:
    number = growth.correction.size
    insert_rows(
        session,
        ApertureCorrection.__table__,
        ("image_id", "aperture", "correction", "correction_error", "stars"),
        zip(
            [image_id] * number,
            range(number),
            growth.correction.tolist(),
            growth.error.tolist(),
            [growth.stars] * number,
            strict=True,
        ),
    )


EXTRACT = Step(
    "extract",
    ExtractParameters,
    run,
    gives="fluxes, errors and flags of all sources; the frame's WCS and times",
    version=3,
    each=Each.FRAME,
    needs=(
        required("calibrate", "calibrated"),
        required("align"),
        required("detect", "detected"),
        named("solve", "solved"),  # `detect` waits for it
    ),
    reads=APERTURE_CHOICES,
    opens=(CALIBRATED,),
    uses=(TEMPLATE,),  # tells hits from stars
    anywhere=True,
    tables=(Flux, ApertureCorrection, MaskedPixels, FrameSight),
)
