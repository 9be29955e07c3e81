"""`stack_bias` and `stack_dark`: the mean of bias or dark frames, by a tree of bounded memory."""

from typing import Literal

import numpy as np
from sqlalchemy.orm import Session

from pipeline.masters import combine_mean, read_noise
from schema.images import MASTER_BIAS, MASTER_DARK, PARTIAL_BIAS, PARTIAL_DARK
from schema.queries import images
from services.errors import DataError
from services.steps.base import Context, Outputs, Parameters, Step
from services.steps.files import save_image

MASTER = {"bias": MASTER_BIAS, "dark": MASTER_DARK}
PARTIAL = {"bias": PARTIAL_BIAS, "dark": PARTIAL_DARK}


class StackMasterParameters(Parameters):
    """Frames (image ids, in a leaf) or parents (PIDs of partial means) to average; ``root`` gives the master."""

    kind: Literal["bias", "dark"]
    frames: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    bias: int | None = None  # PID of the super bias, which the root of the darks subtracts
    root: bool


def run(context: Context, parameters: StackMasterParameters) -> Outputs:
    """Average the inputs; a parent that failed is left out. A master dark is in ADU a second, without bias."""
    kind = parameters.kind
    with context.reading() as session:
        if parameters.frames:
            inputs = [images.by_id(session, image_id) for image_id in parameters.frames]
        else:
            inputs = images.by_pids(session, parameters.parents)
        bias = images.by_pid(session, parameters.bias) if parameters.root else None
    if not inputs:
        raise DataError(f"process {context.pid}: none of its {kind} inputs is there; retry those that failed")
    weights = [image.weight or 1.0 for image in inputs]
    arrays = [context.images.read(image.path) for image in inputs]
    if parameters.frames:
        noise = read_noise(arrays) if kind == "bias" else float("nan")
    else:
        noise = float(np.average([image.background_rms or np.nan for image in inputs], weights=weights))
    mean = combine_mean(arrays, weights)
    del arrays
    exposure = inputs[0].exposure_s or 0.0
    if parameters.root and kind == "dark":
        if exposure <= 0:
            raise DataError(f"dark frame {inputs[0].path!r} has no exposure time: set EXPTIME in its header")
        if bias is not None:
            mean -= context.images.read_master(bias.path)
        mean /= exposure
    gain = next((image.gain for image in inputs if image.gain), context.settings.gain)
    saved = save_image(context, (MASTER if parameters.root else PARTIAL)[kind], mean, parents=inputs, masters=[bias])

    def write(session: Session) -> None:
        saved.insert(
            session,
            exposure_s=exposure,
            weight=sum(weights),
            background_rms=noise if np.isfinite(noise) else None,  # ADU, of one frame
            read_noise=noise * gain if gain and np.isfinite(noise) else None,
            gain=gain,
        )

    return write


STACK_BIAS = Step("stack_bias", StackMasterParameters, run)
STACK_DARK = Step("stack_dark", StackMasterParameters, run)
