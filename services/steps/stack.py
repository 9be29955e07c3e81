"""`stack`: the weighted mean of good frames or of stacks, by a tree; the root is the template."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.frame.masked_pixels import PixelBit, with_bit
from pipeline.stack.stacking import Stack, stack_frames, weight_dtype, weighted_mean
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
    """Of frames, fan-out many, of which a window each is in memory at once."""
    sources = [_FrameRows(context, frame) for frame in inputs]
    return stack_frames(sources, [alignment_of(frame) for frame in inputs], [each.suspects for each in sources])


def _node(context: Context, inputs: Sequence[Image]) -> Stack:
    """Of stacks, of which one is in memory beside the sum."""

    def read(image: Image) -> Stack:
        stored = context.images.read_all(path_of(image), (WEIGHT,))
        return Stack(stored.image, stored.extras[WEIGHT], int(image.weight or 0))

    return weighted_mean(map(read, inputs))


class _FrameRows:
    """A frame, NaN under trails; ``suspects`` are its pixels that look like cosmic rays."""

    def __init__(self, context: Context, frame: Frame) -> None:
        self._images, self._path = context.images, path_of(frame)
        table = self._images.read_extra(self._path, PIXELS)
        self._trails = np.sort(with_bit(table, PixelBit.TRAIL))
        self.suspects = np.setdiff1d(with_bit(table, PixelBit.COSMIC), self._trails, assume_unique=True)
        self.shape = frame.ny or 0, frame.nx or 0

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of the file."""
        rows = np.require(self._images.read(self._path, rows=slice(start, stop)), np.float32, ("C", "W"))
        first, last = start * self.shape[1], stop * self.shape[1]
        rows.reshape(-1)[self._trails[slice(*np.searchsorted(self._trails, (first, last)))] - first] = np.nan
        return rows


def run(context: Context, parameters: StackParameters) -> Outputs | None:
    """Average what is good, one input in memory after the other; frames that failed or were rejected are left out."""
    leaves = parameters.parents if parameters.leaf else ()
    with context.reading() as session:
        good = [frame for frame in frames.by_pids(session, leaves, context.pid) if frame.weight]
        stacks = [] if parameters.leaf else images.by_pids(session, parameters.parents)
        judged = _reasons(session, context) if parameters.root and not (good or stacks) else []
        observed = told_of(context, session)
    context.images.forget_masters()
    inputs: Sequence[Frame] | Sequence[Image] = good if parameters.leaf else stacks
    if not inputs and parameters.root:
        raise DataError(
            f"process {context.pid}: none of {len(judged)} frames of observation {context.observation_id} is good "
            f"enough to be stacked; {most_frequent(judged)}; view frame has all reasons (reason)"
        )
    if not inputs:
        return None  # a branch without good frames makes no image
    total = _leaf(context, good) if parameters.leaf else _node(context, stacks)
    extras: dict[str, NDArray[Any]] = {WEIGHT: total.weight.astype(weight_dtype(total.frames), copy=False)}
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
