"""`calibrate`: one raw frame to one calibrated image with its background, star list and quality."""

import numpy as np
from sqlalchemy.orm import Session

from pipeline.detector import calibration
from pipeline.frame.background import FRAME_BIN, subtract_background
from pipeline.frame.frame_masks import mask_frame
from pipeline.frame.masked_pixels import PixelBit
from pipeline.frame.stars import frame_ellipticity, frame_fwhm
from pipeline.kernels.places import NOWHERE, places_reaching
from pipeline.sky.as_seen import COLUMNS as AS_SEEN
from schema.found import Rejection
from schema.image import CALIBRATED
from schema.queries import frames
from services.steps.shared.detector_pixels import defects_of
from services.steps.shared.header_rows import told_of
from services.steps.shared.image_files import PIXELS, STARS, save_image
from services.steps.shared.image_headers import Saturation, calibrated_cards
from services.steps.shared.needs import Each, required_where_there
from services.steps.shared.noise_facts import noise_facts, telescope_of
from services.steps.shared.raw_frames import (
    dark_seconds,
    errors_name,
    holds_bias,
    master_rows,
    masters_of,
    read_frame,
    read_header,
    read_out_notes,
    saturation_of,
)
from services.steps.shared.step import Context, Outputs, Parameters, Step


class CalibrateParameters(Parameters):
    """One light frame (its number) and the PIDs of its masters: None where there is none, or by choice."""

    frame: int
    bias: int | None = None
    dark: int | None = None
    flat: int | None = None


def run(context: Context, parameters: CalibrateParameters) -> Outputs:
    """Calibrate, take off the sky, mask what no star can be, and list the stars."""
    with context.reading() as session:
        frame, was_rejected = frames.tried_before(session, parameters.frame)
        masters = masters_of(context, session, bias=parameters.bias, dark=parameters.dark, flat=parameters.flat)
        if holds_bias(masters["dark"]):
            masters["bias"] = None
        telescope = telescope_of(session, frame.observation_id, context.choices)
        told = told_of(context, session)
    linearity = frame.linearity or context.choices.linearity
    pixels = {name: master_rows(context, master) for name, master in masters.items() if master}
    defects = defects_of(context, masters, pixels)  # before there is a frame: it takes twice its memory
    raw = read_frame(context, frame)
    raw_header, read_out = read_header(context, frame), read_out_notes(frame, raw)
    is_unwrapped = raw.is_unwrapped
    saturation = saturation_of(frame, raw, context.choices)
    full = Saturation.of(raw.counts, saturation)
    with errors_name(frame.path):
        image, saturated = calibration.calibrate(
            raw.counts,
            pedestal=raw.pedestal,
            factor=raw.factor,
            exposure=dark_seconds(frame, masters["dark"]),
            saturation=saturation,
            **pixels,
        )
        if raw.bad is not None:
            image[raw.bad] = np.nan
        nonlinear = NOWHERE if linearity is None else places_reaching(raw.counts, np.nextafter(linearity, np.inf))
        del raw
        image, background = subtract_background(image, bin_size=FRAME_BIN)
        masks = mask_frame(
            image,
            background.rms,
            exposure=frame.exposure_s or 0.0,
            defects=defects,
            saturated=NOWHERE if saturated is None else saturated,
            nonlinear=nonlinear,
        )
    stars = masks.stars
    fwhm, ellipticity = frame_fwhm(stars), frame_ellipticity(stars)
    noise = noise_facts(frame, masters, telescope, context.choices)
    measured = {
        "background": background.level,
        "background_rms": background.rms,
        "star_count": len(stars),
        "fwhm": fwhm if np.isfinite(fwhm) else None,
    }
    saved = save_image(
        context,
        CALIBRATED,
        image,
        parents=[frame],
        masters=list(masters.values()),
        extras={STARS: stars, PIXELS: masks.pixels},
        cards=calibrated_cards(
            context,
            told,
            frame,
            masters,
            noise,
            raw_header=raw_header,
            saturation=full.on(image),
            measured=measured,
            reads=READS,
            before=read_out,
        ),
    )

    def write(session: Session) -> None:
        saved.insert(
            session,
            exposure_s=frame.exposure_s,
            start_jd_utc=frame.start_jd_utc,
            jd_utc=frame.jd_utc,
            **{name: getattr(frame, name) for name in AS_SEEN},
            **noise,
            saturation=frame.saturation,
            linearity=linearity,
            **{name: getattr(frame, name) for name in ("file_x", "file_y", "file_step")},
            hot_pixels=masks.count(PixelBit.BAD),
            cosmic_rays=masks.count(PixelBit.COSMIC),
            trails=masks.trails,
            **measured,
            ellipticity=ellipticity if np.isfinite(ellipticity) else None,
        )
        if is_unwrapped:
            frames.add_note(session, frame.image_id, UNWRAPPED)
        if was_rejected:  # the file has been repaired since
            frames.accept(session, [frame.image_id], context.pid)

    return write


UNWRAPPED = "counts above 32767 were stored as negative ones: restored"
READS = ("gain", "linearity", "read_noise", "saturation", "telescope_diameter_m")
CALIBRATE = Step(
    "calibrate",
    CalibrateParameters,
    run,
    version=4,
    gives="calibrated image without sky, star list, sky noise, FWHM",
    each=Each.FRAME,
    needs=(
        required_where_there("stack_bias", "bias"),
        required_where_there("stack_dark", "dark"),
        required_where_there("combine_flat", "flat"),
    ),
    reads=READS,
    makes=(CALIBRATED,),
    tables=(Rejection,),
)
