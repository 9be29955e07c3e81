"""`stack`: the weighted mean of good frames or of stacks, by a tree; the root is the template."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.frame.masked_pixels import PixelBit, with_bit
from pipeline.stack.stacking import Stack, stack_frames, weighted_mean
from schema.frame import Frame
from schema.image import CALIBRATED, STACKED, TEMPLATE, Image
from schema.queries import frames, images
from services.errors import DataError
from services.steps.shared.detector_pixels import find_hot_pixels
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.header_rows import told_of
from services.steps.shared.image_columns import column
from services.steps.shared.image_files import PIXELS, WEIGHT, path_of, save_image
from services.steps.shared.image_headers import StackedFacts, stack_cards
from services.steps.shared.needs import OWN, Each, required, some_of
from services.steps.shared.some_inputs import most_frequent
from services.steps.shared.step import Context, Outputs, Parameters, Step

READS = ("fan_out",)  # choices that it goes by


class StackParameters(Parameters):
    """PIDs of `calibrate` (a leaf of the tree) or of `stack` whose images are averaged."""

    parents: tuple[int, ...]
    leaf: bool
    root: bool


def _leaf(context: Context, inputs: Sequence[Frame]) -> Stack:
    """Of frames, fan-out many, which are in memory at once."""
    pixels, suspects = zip(*(_frame(context, frame) for frame in inputs), strict=True)
    return stack_frames(pixels, [alignment_of(frame) for frame in inputs], suspects)


def _node(context: Context, inputs: Sequence[Image]) -> Stack:
    """Of stacks, of which one is in memory beside the sum."""

    def stacks() -> Iterator[Stack]:
        for image in inputs:
            stored = context.images.read_all(path_of(image), (WEIGHT,))
            yield Stack(stored.image, stored.extras[WEIGHT].astype(np.float32), int(image.weight or 0))

    return weighted_mean(stacks())


def _frame(context: Context, image: Frame) -> tuple[NDArray[Any], NDArray[np.integer]]:
    """The frame, NaN under trails, and its pixels that look like cosmic rays."""
    stored = context.images.read_all(path_of(image), (PIXELS,))
    table = stored.extras[PIXELS]
    trails = with_bit(table, PixelBit.TRAIL)
    stored.image.reshape(-1)[trails] = np.nan
    return stored.image, np.setdiff1d(with_bit(table, PixelBit.COSMIC), trails, assume_unique=True)


def run(context: Context, parameters: StackParameters) -> Outputs | None:
    """Average what is good, one input in memory after the other; frames that failed or were rejected are left out."""
    leaves = parameters.parents if parameters.leaf else ()
    with context.reading() as session:
        good = [frame for frame in frames.by_pids(session, leaves, context.pid) if frame.weight]
        stacks = [] if parameters.leaf else images.by_pids(session, parameters.parents)
        judged = [] if good or stacks else _reasons(session, context)
        observed = told_of(context, session)
    inputs: Sequence[Frame] | Sequence[Image] = good if parameters.leaf else stacks
    if not inputs and parameters.root:
        raise DataError(
            f"process {context.pid}: none of {len(judged)} frames of observation {context.observation_id} is good "
            f"enough to be stacked; {most_frequent(judged)}; view frame has all reasons (reason)"
        )
    if not inputs:
        return None  # a branch without good frames makes no image
    total = _leaf(context, good) if parameters.leaf else _node(context, stacks)
    extras: dict[str, NDArray[Any]] = {WEIGHT: total.weight.astype(np.int16 if total.frames < 2**15 else np.int32)}
    if parameters.root:
        extras[PIXELS] = find_hot_pixels(context, total)
    fwhm, kind = _mean(column(inputs, "fwhm")), TEMPLATE if parameters.root else STACKED
    stacked = StackedFacts.of(inputs, total.frames)
    cards = stack_cards(context, observed, kind, stacked, fwhm, READS)
    saved = save_image(context, kind, total.image, parents=inputs, extras=extras, cards=cards)
    # A stack that is not aligned with its tree cannot exist: its exposure and FWHM are means over its frames.
    facts: dict[str, Any] = {"weight": float(total.frames), "fwhm": fwhm, "good": True}

    def write(session: Session) -> None:
        saved.insert(
            session,
            **facts,
            exposure_s=stacked.exposure_s,
            start_jd_utc=stacked.start_jd_utc,
            jd_utc=stacked.jd_utc,
        )

    return write


def _reasons(session: Session, context: Context) -> list[str]:
    """Why frames are not good."""
    return [frame.reject_reason or "not judged" for frame in frames.of_graph(session, context.graph_pid, context.pid)]


def _mean(values: Any) -> float | None:
    finite = values[values == values]
    return float(finite.mean()) if finite.size else None


STACK = Step(
    "stack",
    StackParameters,
    run,
    gives="mean of good frames; the root is the template",
    each=Each.TREE,
    template=OWN,
    needs=(required("select"), some_of("calibrate", "parents")),
    reads=READS,
    opens=(CALIBRATED, STACKED),
    makes=(TEMPLATE,),
    partial=(STACKED,),
)
