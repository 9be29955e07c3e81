"""`stack_bias` and `stack_dark`: the mean of bias or dark frames, by a tree of bounded memory."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.detector.calibration import require_exposed
from pipeline.detector.masters import combine_clipped, combine_mean, read_noise
from pipeline.detector.readout import RawPixels
from schema.found import Rejection
from schema.image import MASTER_BIAS, MASTER_DARK, PARTIAL_BIAS, PARTIAL_DARK, Image
from schema.observing import BIAS, DARK, Observation
from schema.queries import frames, images
from schema.queries.capturing import captured_images
from services.errors import DataError
from services.masters import is_taken_off
from services.steps.shared.header_rows import told_of
from services.steps.shared.image_files import path_of, save_image
from services.steps.shared.image_headers import master_cards, mean_of
from services.steps.shared.needs import Each, required_where_there
from services.steps.shared.noise_facts import MEASURED, compare_with_header, read_noise_electrons
from services.steps.shared.raw_frames import errors_name, master_rows, read_frame, saturation_of
from services.steps.shared.some_inputs import most_frequent
from services.steps.shared.step import Context, Outputs, Parameters, Step

READS = ("fan_out", "gain", "saturation")  # choices that it goes by
NOT_TAKEN = "its exposure was not taken"
SAMPLE_STEP = 4  # each fourth row and column tell the level of a master
MASTER = {"bias": MASTER_BIAS, "dark": MASTER_DARK}
PARTIAL = {"bias": PARTIAL_BIAS, "dark": PARTIAL_DARK}


class StackMasterParameters(Parameters):
    """Frames (their numbers, in a leaf) or parents (PIDs of partial means) to average; ``root`` gives the master."""

    kind: Literal["bias", "dark"]
    frames: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    bias: int | None = None  # PID of the super bias, which the root of the darks subtracts
    root: bool


def _read(
    context: Context, frames: Sequence[Image]
) -> tuple[list[Image], list[RawPixels], list[tuple[Image, DataError]]]:
    """The frames that can be used with their pixels, and the others with what is wrong: one never spoils the master."""
    used: list[Image] = []
    arrays: list[RawPixels] = []
    unusable: list[tuple[Image, DataError]] = []
    for frame in frames:
        try:
            raw = read_frame(context, frame)
            with errors_name(frame.path):
                require_exposed(raw.counts, saturation_of(frame, raw, context.choices))
        except DataError as error:
            unusable.append((frame, error))
        else:
            used.append(frame)
            arrays.append(raw.compact())
    return used, arrays, unusable


def _read_noise(inputs: Sequence[Image], frames: Sequence[RawPixels], weights: Sequence[float]) -> float | None:
    """Noise of one frame (ADU): of these frames, or the mean of what was measured for the inputs; None if unknown."""
    if len(frames) > 1:
        return read_noise(frames)
    known = [(image.background_rms, weight) for image, weight in zip(inputs, weights, strict=True)]
    values = np.array([(rms, weight) for rms, weight in known if rms is not None]).reshape(-1, 2)
    return float(np.average(values[:, 0], weights=values[:, 1])) if values.size else None


def _level(image: NDArray[Any]) -> float | None:
    values = image[::SAMPLE_STEP, ::SAMPLE_STEP]
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def run(context: Context, parameters: StackMasterParameters) -> Outputs:
    """Average the inputs; frames that are no good are rejected, and a parent without an image is left out.

    A master dark is in ADU a second, without bias.
    """
    kind = parameters.kind
    with context.reading() as session:
        if parameters.frames:
            inputs = captured_images(session, parameters.frames)
        else:
            inputs = images.by_pids(session, parameters.parents)
        bias = images.by_pid(session, parameters.bias) if parameters.root else None
        observed = told_of(context, session)
        observation = session.get(Observation, context.observation_id) if context.observation_id else None
        was_off = kind == "dark" and observation is not None and is_taken_off(observation, BIAS)
        refused = [] if inputs else frames.reasons(session, context.observation_id)
        refused += [NOT_TAKEN] * (len(parameters.frames) - len(inputs) if parameters.frames else 0)
    unusable: list[tuple[Image, DataError]] = []
    if parameters.frames:
        inputs, arrays, unusable = _read(context, inputs)
    else:
        arrays = []

    def reject(session: Session) -> None:
        frames.reject(session, {frame.image_id: str(error) for frame, error in unusable}, context.pid)

    if not inputs and parameters.root:
        reasons = [str(error) for _, error in unusable] or refused
        raise DataError(
            f"process {context.pid}: none of {len(reasons)} {kind} frames can be used; {most_frequent(reasons)}"
        )
    if not inputs:
        return reject  # a branch without good frames makes no image
    weights = [image.weight or 1.0 for image in inputs]
    noise = _read_noise(inputs, arrays if parameters.frames and kind == "bias" else [], weights)
    if parameters.frames:
        mean = combine_clipped(arrays)
    else:  # one in memory beside the sum
        mean = combine_mean((context.images.read(path_of(image)) for image in inputs), weights)
    del arrays
    exposure = inputs[0].exposure_s or 0.0
    if parameters.root and kind == "dark":
        if exposure <= 0:
            raise DataError(f"dark frame {inputs[0].path!r} has no exposure time: set EXPTIME in its header")
        if bias is not None:
            mean -= master_rows(context, bias)[:]
        mean /= exposure
    gain = next((image.gain for image in inputs if image.gain), context.choices.gain)
    measured = read_noise_electrons(noise, gain)
    if parameters.frames and kind == "bias":
        compare_with_header("read noise", inputs[0].read_noise, measured)
    made = (MASTER if parameters.root else PARTIAL)[kind]
    unit = "adu/s" if made == MASTER_DARK else "adu"
    # The level of a master dark tells the dark current, once the bias is off; one without level holds it.
    level = _level(mean) if kind == "bias" or bias is not None or was_off else None
    means = {name: mean_of(inputs, name, weights) for name in ("temperature_c", "jd_utc")}
    cards = master_cards(
        context,
        observed,
        kind,
        made,
        number=sum(weights),
        means={"exposure_s": exposure, **means},
        method="clipped mean" if parameters.frames else "mean of clipped means",
        level=_level(mean) if level is None else level,
        unit=unit,
        noise={"gain": gain, "read_noise": measured},
        masters={"bias": bias},
        reads=READS,
    )
    saved = save_image(context, made, mean, parents=inputs, masters=[bias], unit=unit, cards=cards)

    def write(session: Session) -> None:
        saved.insert(
            session,
            exposure_s=exposure,
            **means,
            weight=sum(weights),
            background=level,
            background_rms=noise,  # ADU, of one frame
            read_noise=measured,
            read_noise_source=None if measured is None else MEASURED,
            gain=gain,
        )
        reject(session)

    return write


STACK_BIAS = Step(
    "stack_bias",
    StackMasterParameters,
    run,
    gives="master bias (mean), read noise",
    kind=BIAS,
    each=Each.TREE,
    chosen=lambda *_: {"kind": BIAS},
    reads=READS,
    opens=(PARTIAL_BIAS,),
    makes=(MASTER_BIAS,),
    partial=(PARTIAL_BIAS,),
    tables=(Rejection,),
)
STACK_DARK = Step(
    "stack_dark",
    StackMasterParameters,
    run,
    version=2,
    gives="master dark, ADU a second",
    kind=DARK,
    each=Each.TREE,
    needs=(required_where_there("stack_bias", "bias", at_root=True),),
    chosen=lambda *_: {"kind": DARK},
    reads=READS,
    opens=(PARTIAL_DARK,),
    makes=(MASTER_DARK,),
    partial=(PARTIAL_DARK,),
    tables=(Rejection,),
)
