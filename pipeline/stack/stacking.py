"""Aligned frames and stacks into a stack: weighted means that leave out what is masked or blank."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.kernels.clipping import CLIP_SIGMA, REACH, add_weighted, clipped_sums, take_in
from pipeline.registration.alignment import Alignment
from pipeline.stack.aligned_rows import CLIP_ROWS, NONE, AlignedRows, Image, Placement, RowSource


@dataclass(frozen=True)
class Stack:
    """A mean image, its weight map, and the number of frames in it.

    image: float32[ny, nx], NaN where weight is 0; weight: real[ny, nx], good frames in each pixel.
    """

    image: Image
    weight: NDArray[Any]
    frames: int

    @classmethod
    def of_frame(cls, image: Image, weight: float = 1.0) -> "Stack":
        """The stack of one aligned frame float32[ny, nx]; weight 0 makes an empty stack of a rejected frame."""
        valid = np.isfinite(image) & (weight > 0)
        return cls(np.where(valid, image, np.float32(np.nan)), valid * np.float32(weight), int(weight > 0))


def weight_dtype(frames: int) -> type[np.integer[Any]]:
    """Of the weight map of so many frames: the least that holds their number and that FITS has."""
    return np.uint8 if frames < 1 << 8 else np.int16 if frames < 1 << 15 else np.int32


def stack_frames(
    frames: Sequence[Image | RowSource],
    alignments: Sequence[Alignment],
    suspects: Sequence[NDArray[np.integer]] | None = None,
) -> Stack:
    """Align a few frames and average them without what stands far above the others: a leaf of the tree.

    Every reference pixel takes the frame's nearest pixel (the Tianyu paper rounds the frame's
    shift, section 3.2; here each part of a rotated frame has its own), so that noise and masks stay as they are. What
    lies outside the frame is left out, and so are hot pixels, cosmic rays and bright trails, as in `clipped_mean`.

    Args:
        frames: float32[ny, nx] each, sky subtracted, masked pixels NaN, at most a tree node's number; or what gives
            their rows, a window of them at a time.
        alignments: reference to frame, one each.
        suspects: flat indices of each frame's pixels that look like cosmic rays, each once. Such a pixel enters where
            the mean without the suspects is bright enough at its place, or nearby, for it to be a star's.

    Raises:
        UnusableDataError: no frame, or unlike shapes.
    """
    of_frames = [NONE] * len(frames) if suspects is None else suspects
    return _clipped_mean([AlignedRows(*each) for each in zip(frames, alignments, of_frames, strict=True)])


def positions_on_reference(
    xy: NDArray[np.float64], alignments: Sequence[Alignment], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Where stars of a stack lie on the reference frame, from which alignments start: float64[n, 2].

    A frame's part is stacked by its shift rounded to pixels, and what is rounded off seldom averages out: a stack of
    16 frames lay 0.19 px beside its reference, which put each aperture on each frame as far beside its star.

    xy: float64[n, 2], positions measured on the stack; alignments: of the frames in it; shape: (ny, nx) of the frames.
    A star that no frame saw stays where it is.
    """
    ny, nx = shape
    total, seen = np.zeros_like(xy), np.zeros(len(xy))
    for alignment in alignments:
        frame = Placement(alignment, shape)
        shift = frame.shifts_of(xy)
        landed = xy + shift
        inside = ((landed >= 0) & (landed <= (nx - 1, ny - 1))).all(axis=1)
        total[inside] += (frame.to_turned_frame(xy) - landed)[inside]
        seen += inside
    return xy - total / np.maximum(seen, 1)[:, None]


def weighted_mean(stacks: Iterable[Stack]) -> Stack:
    """Per-pixel mean of stacks by their weight maps; exact over any tree, for the weights add up.

    One stack at a time is held beside the sum. Pixels of weight 0 are left out; where all are, the mean is NaN.
    Raises UnusableDataError for no stack or unlike shapes.
    """
    total: Image | None = None
    weight: Image | None = None
    frames = 0
    for stack in stacks:
        if total is None or weight is None:
            total, weight = np.zeros((2, *stack.image.shape), np.float32)
        if stack.image.shape != total.shape:
            raise UnusableDataError(
                f"a stack has shape {stack.image.shape}, the ones before it {total.shape}: stack one binning only"
            )
        for start in range(0, total.shape[0], CLIP_ROWS):
            rows = slice(start, start + CLIP_ROWS)
            weights = np.ascontiguousarray(stack.weight[rows], np.float32)
            add_weighted(total[rows], weight[rows], np.ascontiguousarray(stack.image[rows], np.float32), weights)
        frames += stack.frames
        del stack  # before the next one comes
    if total is None or weight is None:
        raise UnusableDataError("no stack to combine, expected at least one: check which frames were aligned")
    with np.errstate(invalid="ignore"):
        total /= weight  # 0/0: NaN where nothing was seen
    return Stack(total, weight, frames)


def clipped_mean(frames: Sequence[Image]) -> Stack:
    """Mean of a few aligned frames without the values far above the others: hot pixels, cosmic rays, bright trails.

    frames: float32[ny, nx] each, sky subtracted, at most a tree node's number. A value is left out when it exceeds the
    lower median of the frames by 5 sigma of the frame's noise and by five times the brightest mean of the other frames
    within two pixels; the latter keeps star cores whole when the seeing changes or a shift is rounded, so that the mean
    of a star is that of the plain mean. Raises UnusableDataError for no frame or unlike shapes.
    """
    return _clipped_mean([AlignedRows(frame, Alignment.identity(frame.shape)) for frame in frames])


def _clipped_mean(frames: Sequence[AlignedRows]) -> Stack:
    if not frames:
        raise UnusableDataError("no frame to combine, expected at least one: check which frames were aligned")
    shape = frames[0].shape
    for i, frame in enumerate(frames):
        if frame.shape != shape:
            raise UnusableDataError(f"frame {i} has shape {frame.shape}, the first {shape}: stack one binning only")
    limits = np.array([CLIP_SIGMA * frame.noise for frame in frames], np.float32)
    image, weight = np.empty(shape, np.float32), np.empty(shape, weight_dtype(len(frames)))
    blocks = frames[0].blocks
    values = np.empty(len(frames) * (blocks.rows + 2 * REACH) * shape[1], np.float32)  # of one block
    for number, start in enumerate(range(0, shape[0], blocks.rows)):
        rows, reach = slice(start, min(start + blocks.rows, shape[0])), blocks.reach(number)
        inner = slice(rows.start - reach.start, rows.stop - reach.start)
        block = values[: len(frames) * (reach.stop - reach.start) * shape[1]].reshape(len(frames), -1, shape[1])
        for part, frame in zip(block, frames, strict=True):
            frame.rows_into(part, number)
        total, count = clipped_sums(block, limits)
        where, suspects = map(np.concatenate, zip(*(frame.suspects(number) for frame in frames), strict=True))
        take_in(total, count, where, suspects, limits)
        with np.errstate(invalid="ignore"):
            np.divide(total[inner], count[inner], out=image[rows])
        weight[rows] = count[inner]
    return Stack(image, weight, len(frames))
