"""`calibrate_flat` and `combine_flat`: debiased flats, and the master flat from those of fit level, in row blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from pipeline.detector.calibration import calibrate
from pipeline.detector.detector_noise import flat_noise, flat_pairs, measure_gain
from pipeline.detector.flat_levels import flat_limits, full_scale
from pipeline.detector.masters import combine_flat
from pipeline.errors import SaturatedFrameError
from pipeline.rows import Rows
from pipeline.statistics import mean_of_values
from schema.found import Rejection
from schema.image import DEBIASED_FLAT, MASTER_FLAT, Image
from schema.observing import FLAT
from schema.queries import frames, images
from services.choices import Choices
from services.errors import DataError
from services.log import get_logger
from services.steps.shared.header_rows import told_of
from services.steps.shared.image_files import path_of, save_image
from services.steps.shared.image_headers import master_cards, mean_of
from services.steps.shared.needs import Each, required_where_there, some_of
from services.steps.shared.noise_facts import MEASURED, compare_with_header
from services.steps.shared.raw_frames import (
    dark_seconds,
    errors_name,
    failures,
    holds_bias,
    master_rows,
    read_frame,
    saturation_of,
)
from services.steps.shared.some_inputs import most_frequent
from services.steps.shared.step import Context, Outputs, Parameters, Step

log = get_logger("flats")
MEANS = ("exposure_s", "temperature_c", "jd_utc")  # columns of a flat, and of the mean of all
PAIRED_FLATS = 3  # of which noise is measured: two pairs give the gain to 0.3 %
LEAST_OF_HIGHEST = 0.01  # of the highest level; below it a flat is in other units than the rest


class CalibrateFlatParameters(Parameters):
    """One flat frame (its number) and the PIDs of the masters to take from it."""

    frame: int
    bias: int | None = None
    dark: int | None = None


def run_calibrate_flat(context: Context, parameters: CalibrateFlatParameters) -> Outputs:
    """Take bias and dark from one flat; an empty one fails here, a saturated one is rejected: the master does without.

    A flat that was scaled before holds neither: its pixels are no counts, and lie below the bias.
    """
    with context.reading() as session:
        frame = frames.by_number(session, parameters.frame)
        dark = images.by_pid(session, parameters.dark)
        observed = told_of(context, session)
        bias = None if holds_bias(dark) else images.by_pid(session, parameters.bias)
    raw = read_frame(context, frame)
    seconds = dark_seconds(frame, dark)
    pixels = {name: master_rows(context, one) for name, one in (("bias", bias), ("dark", dark)) if one is not None}
    with errors_name(frame.path):
        top = full_scale(raw.counts, frame.saturation or context.choices.saturation)
        if top is None and mean_of_values(raw.counts) < _pedestal(pixels, seconds):
            bias, dark, pixels = None, None, {}
        try:
            image, _ = calibrate(
                raw.counts,
                pedestal=raw.pedestal,
                factor=raw.factor,
                exposure=seconds,
                saturation=saturation_of(frame, raw, context.choices),
                **pixels,
            )
        except SaturatedFrameError as error:  # it is too bright, like those above the limits
            saturated = {frame.image_id: f"flat {frame.path!r}: {error}"}
            return lambda session: frames.reject(session, saturated, context.pid)
    mean = mean_of_values(image)
    if not mean > 0:
        raise DataError(
            f"flat {frame.path!r} has mean {mean:.4g} ADU above the bias, expected more than 0: was the lamp on, the "
            "shutter open? Remove it"
        )
    means = {name: getattr(frame, name) for name in MEANS}
    cards = master_cards(
        context,
        observed,
        FLAT,
        DEBIASED_FLAT,
        number=1,
        means=means,
        method="one frame",
        level=mean,
        noise={"gain": frame.gain},
        masters={"bias": bias, "dark": dark},
        reads=("saturation",),
    )
    saved = save_image(context, DEBIASED_FLAT, image, parents=[frame], masters=[bias, dark], cards=cards)

    def write(session: Session) -> None:
        saved.insert(
            session,
            **means,
            background=mean,
            background_rms=None if bias is None else bias.background_rms,  # ADU, the read noise
            gain=frame.gain,
            gain_source=frame.gain_source,
            saturation=top,
            weight=1.0,
        )

    return write


def _pedestal(masters: Mapping[str, Rows], seconds: float) -> float:
    """Mean level of the masters of a frame of so many seconds of dark, ADU."""
    return sum(mean_of_values(one[:]) * (seconds if name == "dark" else 1) for name, one in masters.items())


class CombineFlatParameters(Parameters):
    """PIDs of the debiased flats."""

    flats: tuple[int, ...]


def run_combine_flat(context: Context, parameters: CombineFlatParameters) -> Outputs:
    """Combine the flats that could be debiased and are lit well; the others are rejected, and of none nothing is made.

    Rows are read in blocks, so memory does not grow with the number of flats.
    """
    with context.reading() as session:
        flats = images.by_pids(session, parameters.flats)
        refused = {flat.frame: error for flat, error in failures(session, context.graph_pid, CALIBRATE_FLAT)}
        taken = images.frames_of(session, [flat.image_id for flat in flats])
        observed = told_of(context, session)
    outside = _outside(flats, taken, context.choices)
    refused |= {taken[image_id].image_id: reason for image_id, reason in outside.items()}
    flats = [flat for flat in flats if flat.image_id not in outside]

    def judge(session: Session) -> None:
        frames.reject(session, refused, context.pid)
        frames.accept(session, [taken[flat.image_id].image_id for flat in flats], context.pid)

    if not flats:
        reasons = [*outside.values()] or ["all that could be debiased are saturated"]
        log.warning("no flat lies within its limits, no master flat is made", reason=most_frequent(reasons))
        return judge
    shape = (flats[0].ny or 0, flats[0].nx or 0)
    levels = [flat.background or 0.0 for flat in flats]
    master = combine_flat(
        lambda index, rows: context.images.read(path_of(flats[index]), rows=rows),
        levels,
        shape,
        context.choices.flat_method,
    )
    noise = _noise(context, flats)
    means = {name: mean_of(flats, name, [1.0] * len(flats)) for name in MEANS}
    cards = master_cards(
        context,
        observed,
        FLAT,
        MASTER_FLAT,
        number=len(flats),
        means=means,
        method=context.choices.flat_method.replace("_", " "),
        level=float(np.median(levels)),
        noise=noise,
        reads=("flat_method",),
    )
    saved = save_image(context, MASTER_FLAT, master, parents=flats, unit="1", cards=cards)

    def write(session: Session) -> None:
        saved.insert(session, weight=float(len(flats)), background=float(np.median(levels)), **noise, **means)
        judge(session)

    return write


def _outside(flats: Sequence[Image], taken: Mapping[int, Image], choices: Choices) -> dict[int, str]:
    """Why flats are lit too weakly or too strongly, by image id; ``taken``: the camera's frame of each."""
    tops = [flat.saturation for flat in flats if flat.saturation is not None]
    if not tops:
        return {}
    told = choices.saturation is not None or any(frame.saturation for frame in taken.values())
    low, high = choices.flat_limits_adu or flat_limits(max(tops), is_told=told)
    return {
        flat.image_id: f"flat {taken[flat.image_id].path!r} has a level of {flat.background:.0f} ADU above the bias, "
        f"expected {low:.0f} to {high:.0f}: leave it out, or set other limits (flat_limits_adu)"
        for flat in flats
        if flat.saturation is not None and not low <= (flat.background or 0.0) <= high
    }


def _noise(context: Context, flats: Sequence[Image]) -> dict[str, Any]:
    """Columns of the master: the gain that pairs of flats show, and the noise of a pixel of the master."""
    levels = [flat.background or 0.0 for flat in flats]
    alike = [flat for flat, level in zip(flats, levels, strict=True) if level > LEAST_OF_HIGHEST * max(levels)]
    few = flat_pairs(context.images.read(path_of(flat)) for flat in alike[:PAIRED_FLATS])
    read_noise = alike[0].background_rms
    # Without a bias the levels mean nothing, and without read noise the gain would hold it.
    gain = None if read_noise is None else measure_gain(few, read_noise)
    compare_with_header("gain", alike[0].gain, gain)
    levels = [flat.background or 0.0 for flat in alike]
    return {
        "gain": gain,
        "gain_source": None if gain is None else MEASURED,
        "flat_error": flat_noise(few, levels, mode=context.choices.flat_method == "mode"),
    }


CALIBRATE_FLAT = Step(
    "calibrate_flat",
    CalibrateFlatParameters,
    run_calibrate_flat,
    version=4,
    gives="debiased flat",
    kind=FLAT,
    each=Each.FRAME,
    needs=(required_where_there("stack_bias", "bias"), required_where_there("stack_dark", "dark")),
    reads=("saturation",),
    partial=(DEBIASED_FLAT,),
    tables=(Rejection,),
)
COMBINE_FLAT = Step(
    "combine_flat",
    CombineFlatParameters,
    run_combine_flat,
    version=3,
    gives="master flat, the gain that pairs of flats show",
    kind=FLAT,
    needs=(some_of("calibrate_flat", "flats"),),
    reads=("flat_limits_adu", "flat_method", "saturation"),
    opens=(DEBIASED_FLAT,),
    makes=(MASTER_FLAT,),
    tables=(Rejection,),
)
