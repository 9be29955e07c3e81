"""`extract`: aperture fluxes of the template's sources on one calibrated image, at sub-pixel positions."""

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from pipeline.aperture.aperture_flux import measure
from pipeline.aperture.growth import Growth
from pipeline.aperture.own_light import judge_pixels
from pipeline.flags import Flag
from pipeline.frame.masked_pixels import pixel_bits
from schema.base import table_of
from schema.found import FrameSight, MaskedPixels
from schema.image import CALIBRATED, TEMPLATE
from schema.photometry import ApertureCorrection, Flux
from schema.prepared import Prepared
from schema.prepared import run as run_together
from schema.queries import frames
from schema.queries.measurements import insert_fluxes, insert_rows
from services.errors import DataError
from services.steps.shared.apertures import APERTURE_CHOICES, on_frame, seeing_change
from services.steps.shared.detector_pixels import (
    FEWEST_FRAMES,
    counts,
    hot_pixels,
    mark_hot_pixels,
    template_path,
    template_pixels,
)
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.frame_noise import noise_of
from services.steps.shared.graph_field import field_of
from services.steps.shared.image_files import PIXELS, path_of
from services.steps.shared.needs import Each, named, required
from services.steps.shared.noise_facts import gain_of_night
from services.steps.shared.step import Context, Outputs, Parameters, Step
from services.steps.shared.template_sources import template_sources

_MASKED, _SEEN = (Prepared(insert(table_of(table))) for table in (MaskedPixels, FrameSight))


class ExtractParameters(Parameters):
    """PIDs of the `calibrate` whose image is measured, of the `detect` that knows the sources, and of the `solve`."""

    calibrated: int
    detected: int
    solved: int | None = None


def run(context: Context, parameters: ExtractParameters) -> Outputs:
    """Carry the sources to the frame by its alignment, and measure; the image is never resampled.

    What looks like a cosmic ray is judged by the template first: light of the stars is measured, hits on them are not.
    """
    with context.reading() as session:
        image = frames.by_pid(session, parameters.calibrated, context.pid)
        if image is None:
            raise DataError(f"process {context.pid}: its image is gone; publish the observation again")
        sources = template_sources(context, session, parameters.detected)
        hot = hot_pixels(context, session)
        template = template_path(context, session, FEWEST_FRAMES)
        field = field_of(context, session, parameters.solved)
        gain = image.gain
        if gain is None:
            gain = gain_of_night(session, context.graph_pid, parameters.detected)
    if image.dx is None and image.reject_reason:  # `select` has said why
        raise DataError(f"image {image.image_id} ({image.path}): {image.reject_reason}")
    stored = context.images.read_all(path_of(image), (PIXELS,))
    alignment = alignment_of(image)
    ellipses = sources.ellipses
    if ellipses is not None:
        ellipses = ellipses.on_frame(alignment.rotation, alignment.scale)
    apertures = on_frame(sources.apertures, image.fwhm, ellipses)
    bits = pixel_bits(mark_hot_pixels(stored.extras[PIXELS], hot), stored.image.shape)
    noise = noise_of(image, gain)
    if (shown := template_pixels(context, template)) is not None:
        bits = judge_pixels(stored.image, bits, shown, alignment, sources.xy, max(apertures.radii), noise)
    measured = measure(
        stored.image,
        alignment.to_frame(sources.xy),
        apertures,
        noise,
        bits=bits,
        isolated=sources.isolated,
        neighbours=sources.seeing_response * seeing_change(sources.apertures, image.fwhm),
        fwhm=image.fwhm,
    )
    flag = measured.flag | sources.flag
    flag[~np.isfinite(measured.flux)] |= int(Flag.MISSING)
    image_id = image.image_id
    key = {"image_id": image_id, "pid": context.pid}
    found = [_MASKED(**key, **counts(bits))]
    if field is not None:
        seen = field.seen_in(image)
        context.images.add_cards(path_of(image), field.cards_of(image, alignment, seen))
        if seen is not None:
            found.append(_SEEN(**key, **seen))

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
    version=2,
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
