"""`calibrate`: one raw frame to one calibrated image with its background, star list and quality."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline import calibration
from pipeline.background import subtract_background
from pipeline.bad_pixels import find_sharp_pixels
from pipeline.stars import find_stars, frame_ellipticity, frame_fwhm
from schema.images import CALIBRATED, Image
from schema.queries import images
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.files import PIXELS, STARS, save_image
from services.steps.frames import blaming, gain_of, read_frame, read_master, saturation_of

BAD, SATURATED = 1, 2  # bits of extension PIXELS
PIXEL_DTYPE = np.dtype([("index", "i4"), ("bits", "u1")])


class CalibrateParameters(Parameters):
    """One light frame (image id) and the PIDs of its masters; a master that does not exist is left out."""

    frame: int
    bias: int | None = None
    dark: int | None = None
    flat: int | None = None


def masked_pixels(bad: NDArray[np.bool_], saturated: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Masked pixels as a table of flat indices and bits: a few thousand rows instead of a second image."""
    either = bad if saturated is None else bad | saturated
    index = np.flatnonzero(either)
    table = np.empty(index.size, PIXEL_DTYPE)
    table["index"] = index
    table["bits"] = bad.ravel()[index] * np.uint8(BAD)
    if saturated is not None:
        table["bits"] |= saturated.ravel()[index] * np.uint8(SATURATED)
    return table


def saturated_mask(table: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The saturated pixels of the table as a mask; None when there are none."""
    index = table["index"][(table["bits"] & SATURATED) > 0]
    if not index.size:
        return None
    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[index] = True
    return mask


def run(context: Context, parameters: CalibrateParameters) -> Outputs:
    """Calibrate, take off the sky, mask what no star can be, and list the stars."""
    with context.reading() as session:
        frame = images.by_id(session, parameters.frame)
        masters = {
            name: images.by_pid(session, pid)
            for name, pid in (("bias", parameters.bias), ("dark", parameters.dark), ("flat", parameters.flat))
        }
    raw = read_frame(context, frame)
    pixels = {name: read_master(context, master) for name, master in masters.items() if master}
    with blaming(frame.path):
        image, saturated = calibration.calibrate(
            raw,
            exposure=frame.exposure_s or 0.0,
            saturation=saturation_of(frame, raw, context.settings),
            **pixels,
        )
        del raw
        image, background = subtract_background(image)
        image[find_sharp_pixels(image, background.rms)] = np.nan
        stars = find_stars(image, background.rms)
    fwhm, ellipticity = frame_fwhm(stars), frame_ellipticity(stars)
    saved = save_image(
        context,
        CALIBRATED,
        image,
        parents=[frame],
        masters=list(masters.values()),
        extras={STARS: stars, PIXELS: masked_pixels(np.isnan(image), saturated)},
    )
    gain, gain_source = gain_of(frame, context.settings)
    bias = masters["bias"]
    read_noise = frame.read_noise or context.settings.read_noise or (bias.read_noise if bias else None)
    was_rejected = frame.good is False

    def write(session: Session) -> None:
        saved.insert(
            session,
            exposure_s=frame.exposure_s,
            start_jd_utc=frame.start_jd_utc,
            jd_utc=frame.jd_utc,
            bjd_tdb=frame.bjd_tdb,
            gain=gain,
            gain_source=gain_source,
            read_noise=read_noise,
            saturation=frame.saturation,
            background=background.level,
            background_rms=background.rms,
            star_count=len(stars),
            fwhm=fwhm if np.isfinite(fwhm) else None,
            ellipticity=ellipticity if np.isfinite(ellipticity) else None,
        )
        if was_rejected:  # the file has been repaired since
            accepted = {"good": None, "reject_reason": None, "select_pid": None}
            session.execute(update(Image).where(Image.image_id == parameters.frame).values(**accepted))

    return write


CALIBRATE = Step("calibrate", CalibrateParameters, run)
