"""`calibrate_flat` and `combine_flat`: debiased flats, and the master flat from them in row blocks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from pipeline.detector.calibration import calibrate
from pipeline.detector.detector_noise import flat_noise, measure_gain
from pipeline.detector.masters import combine_flat
from schema.found import Rejection
from schema.image import DEBIASED_FLAT, MASTER_FLAT, Image
from schema.observing import FLAT
from schema.queries import frames, images
from services.errors import DataError
from services.steps.shared.image_files import path_of, save_image
from services.steps.shared.needs import Each, required_where_there, some_of
from services.steps.shared.noise_facts import MEASURED, compare_with_header
from services.steps.shared.raw_frames import dark_seconds, errors_name, failures, read_frame, read_master, saturation_of
from services.steps.shared.step import Context, Outputs, Parameters, Step

PAIRED_FLATS = 3  # of which noise is measured: two pairs give the gain to 0.3 %


class CalibrateFlatParameters(Parameters):
    """One flat frame (image id) and the PIDs of the masters to take from it."""

    frame: int
    bias: int | None = None
    dark: int | None = None


def run_calibrate_flat(context: Context, parameters: CalibrateFlatParameters) -> Outputs:
    """Take bias and dark from one flat; a saturated or empty flat fails here and is left out of the master."""
    with context.reading() as session:
        frame = images.by_id(session, parameters.frame)
        bias = images.by_pid(session, parameters.bias)
        dark = images.by_pid(session, parameters.dark)
    raw = read_frame(context, frame)
    with errors_name(frame.path):
        image, _ = calibrate(
            raw.counts,
            pedestal=raw.pedestal,
            factor=raw.factor,
            bias=read_master(context, bias) if bias else None,
            dark=read_master(context, dark) if dark else None,
            exposure=dark_seconds(frame, dark),
            saturation=saturation_of(frame, raw, context.choices),
        )
    mean = float(np.nanmean(image))
    if not mean > 0:
        raise DataError(
            f"flat {frame.path!r} has mean {mean:.4g} ADU above the bias, expected more than 0: was the lamp on, the "
            "shutter open? Remove it"
        )
    saved = save_image(context, DEBIASED_FLAT, image, parents=[frame], masters=[bias, dark])

    def write(session: Session) -> None:
        saved.insert(
            session,
            exposure_s=frame.exposure_s,
            background=mean,
            background_rms=None if bias is None else bias.background_rms,  # ADU, the read noise
            gain=frame.gain,
            gain_source=frame.gain_source,
            weight=1.0,
        )

    return write


class CombineFlatParameters(Parameters):
    """PIDs of the debiased flats."""

    flats: tuple[int, ...]


def run_combine_flat(context: Context, parameters: CombineFlatParameters) -> Outputs:
    """Combine the flats that could be debiased; rows are read in blocks, so memory does not grow with their number."""
    with context.reading() as session:
        flats = images.by_pids(session, parameters.flats)
        failed = failures(session, context.graph_pid, CALIBRATE_FLAT)
    shape = (flats[0].ny or 0, flats[0].nx or 0)
    master = combine_flat(
        lambda index, rows: context.images.read(path_of(flats[index]), rows=rows),
        [flat.background or 0.0 for flat in flats],
        shape,
        context.choices.flat_method,
    )
    noise = _noise(context, flats)
    saved = save_image(context, MASTER_FLAT, master, parents=flats, unit="")

    def write(session: Session) -> None:
        saved.insert(session, weight=float(len(flats)), **noise)
        frames.reject(session, {flat.frame: error for flat, error in failed}, context.pid)

    return write


def _noise(context: Context, flats: Sequence[Image]) -> dict[str, Any]:
    """Columns of the master: the gain that pairs of flats show, and the noise of a pixel of the master."""
    few = [context.images.read(path_of(flat)) for flat in flats[:PAIRED_FLATS]]
    levels = [flat.background or 0.0 for flat in flats]
    read_noise = flats[0].background_rms
    # Without a bias the levels mean nothing, and without read noise the gain would hold it.
    gain = None if read_noise is None else measure_gain(few, read_noise)
    compare_with_header("gain", flats[0].gain, gain)
    return {
        "gain": gain,
        "gain_source": None if gain is None else MEASURED,
        "flat_error": flat_noise(few, levels, mode=context.choices.flat_method == "mode"),
    }


CALIBRATE_FLAT = Step(
    "calibrate_flat",
    CalibrateFlatParameters,
    run_calibrate_flat,
    version=2,
    gives="debiased flat",
    kind=FLAT,
    each=Each.FRAME,
    needs=(required_where_there("stack_bias", "bias"), required_where_there("stack_dark", "dark")),
    reads=("saturation",),
    partial=(DEBIASED_FLAT,),
)
COMBINE_FLAT = Step(
    "combine_flat",
    CombineFlatParameters,
    run_combine_flat,
    gives="master flat, the gain that pairs of flats show",
    kind=FLAT,
    needs=(some_of("calibrate_flat", "flats"),),
    reads=("flat_method",),
    opens=(DEBIASED_FLAT,),
    makes=(MASTER_FLAT,),
    tables=(Rejection,),
)
