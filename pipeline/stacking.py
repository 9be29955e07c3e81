"""Aligned frames and stacks into a stack: weighted means that leave out what is masked or blank."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.alignment import Alignment
from pipeline.errors import UnusableDataError

Image = NDArray[np.float32]

TILE_SHIFT = 0.5  # px by which rotation and scale may move one end of a tile against the other
CLIP_SIGMA = 5.0  # noise above the others at which a pixel is left out
CLIP_SOURCE = 5.0  # times the brightest value nearby in the others: no change of seeing or rounded shift reaches it
CLIP_BOTH = 4  # values from which two may be left out of the mean of the others
CLIP_NEIGHBOUR_SIGMA = 2.5  # noise of that mean by which a neighbour must stand out to count
CLIP_REACH = 2  # px that the brightness of a neighbour counts: wings of a frame of bad seeing, rounded shifts
CLIP_ROWS = 24  # rows at once: for the processor's cache, and for rotations up to a degree
NOISE_SAMPLE = 65536  # pixels that give a frame's noise
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Stack:
    """A mean image, its weight map, and the number of frames in it.

    image: float32[ny, nx], NaN where weight is 0; weight: float32[ny, nx], good frames in each pixel.
    """

    image: Image
    weight: Image
    frames: int

    @classmethod
    def of_frame(cls, image: Image, weight: float = 1.0) -> "Stack":
        """The stack of one aligned frame float32[ny, nx]; weight 0 makes an empty stack of a rejected frame."""
        valid = np.isfinite(image) & (weight > 0)
        return cls(np.where(valid, image, np.float32(np.nan)), valid * np.float32(weight), int(weight > 0))


def stack_frames(frames: Sequence[Image], alignments: Sequence[Alignment]) -> Stack:
    """Align a few frames and average them without what stands far above the others: a leaf of the tree.

    frames: float32[ny, nx] each, sky subtracted, masked pixels NaN, at most a tree node's number; alignments: reference
    to frame, one each. Every reference pixel takes the frame's nearest pixel (the Tianyu paper rounds the frame's
    shift, section 3.2; here each part of a rotated frame has its own), so that noise and masks stay as they are. What
    lies outside the frame is left out, and so are hot pixels, cosmic rays and bright trails, as in `clipped_mean`.
    Raises UnusableDataError for no frame or unlike shapes.
    """
    return _clipped_mean([_Aligned(frame, alignment) for frame, alignment in zip(frames, alignments, strict=True)])


def shift_to_reference(image: Image, alignment: Alignment) -> Image:
    """A frame on the reference's pixels by the nearest pixel: float32[ny, nx], what lies outside the frame NaN."""
    aligned = _Aligned(image, alignment)
    result = np.empty(image.shape, np.float32)
    for start in range(0, image.shape[0], CLIP_ROWS):
        rows = slice(start, min(start + CLIP_ROWS, image.shape[0]))
        result[rows] = aligned.rows(rows)
    return result


class _Aligned:
    """A frame seen through its alignment, a few rows at a time."""

    def __init__(self, image: Image, alignment: Alignment) -> None:
        ny, nx = image.shape
        centre = np.array([(nx - 1) / 2, (ny - 1) / 2])
        matrix, middle = alignment.matrix, alignment.to_frame(centre[None])[0]
        if matrix[0, 0] < 0:  # after a meridian flip: turned back by half a turn about the frame's centre
            image, matrix, middle = image[::-1, ::-1], -matrix, 2 * centre - middle
        self.image = image
        self._middle, self._centre = middle, centre
        self._excess = matrix - np.eye(2)  # what the transformation does besides shifting
        slope = float(np.abs(self._excess).max())
        self._tile = nx if slope * max(image.shape) <= TILE_SHIFT else max(1, int(TILE_SHIFT / slope))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape

    def rows(self, rows: slice) -> Image:
        """Rows of the reference, float32[rows, nx]; each tile moves by its own rounded shift."""
        ny, nx = self.image.shape
        result = np.full((rows.stop - rows.start, nx), np.nan, np.float32)
        starts = np.arange(0, nx, self._tile)
        x = np.minimum(starts + (self._tile - 1) / 2, nx - 1)
        points = np.column_stack([x, np.full(x.size, (rows.start + rows.stop - 1) / 2)]) - self._centre
        shifts = np.rint(points @ self._excess.T + self._middle - self._centre).astype(int)
        # Neighbours with the same shift are one piece.
        first = np.flatnonzero(np.r_[True, (np.diff(shifts, axis=0) != 0).any(axis=1)])
        ends = np.r_[starts[first[1:]], nx]
        for start, end, (dx, dy) in zip(starts[first].tolist(), ends.tolist(), shifts[first].tolist(), strict=True):
            left, right = max(start, -dx), min(end, nx - dx)
            top, bottom = max(rows.start, -dy), min(rows.stop, ny - dy)
            if left < right and top < bottom:
                piece = self.image[top + dy : bottom + dy, left + dx : right + dx]
                result[top - rows.start : bottom - rows.start, left:right] = piece
        return result


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
            total, weight = np.zeros_like(stack.image), np.zeros_like(stack.weight)
        if stack.image.shape != total.shape:
            raise UnusableDataError(
                f"a stack has shape {stack.image.shape}, the ones before it {total.shape}: stack one binning only"
            )
        product = stack.image * stack.weight
        np.copyto(product, 0, where=stack.weight == 0)  # NaN × 0
        total += product
        weight += stack.weight
        frames += stack.frames
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
    return _clipped_mean([_Aligned(frame, Alignment.identity(frame.shape)) for frame in frames])


def _clipped_mean(frames: Sequence[_Aligned]) -> Stack:
    if not frames:
        raise UnusableDataError("no frame to combine, expected at least one: check which frames were aligned")
    shape = frames[0].shape
    for i, frame in enumerate(frames):
        if frame.shape != shape:
            raise UnusableDataError(f"frame {i} has shape {frame.shape}, the first {shape}: stack one binning only")
    limits = np.array([CLIP_SIGMA * _noise(frame.image) for frame in frames], np.float32)
    image, weight = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, shape[0], CLIP_ROWS):
        rows = slice(start, min(start + CLIP_ROWS, shape[0]))
        reach = slice(max(0, rows.start - CLIP_REACH), min(rows.stop + CLIP_REACH, shape[0]))
        inner = slice(rows.start - reach.start, rows.stop - reach.start)
        mean, count = _clip_block([frame.rows(reach) for frame in frames], limits)
        image[rows], weight[rows] = mean[inner], count[inner]
    return Stack(image, weight, len(frames))


def _clip_block(values: list[Image], limits: Image) -> tuple[Image, Image]:
    total, count = np.zeros_like(values[0]), np.full_like(values[0], len(values))
    highest = np.full_like(values[0], -np.inf)
    second, lowest = highest.copy(), -highest
    for value in values:
        masked = np.flatnonzero(np.isnan(value))
        if masked.size:  # few; for what is highest they count as sky, in the sum not at all
            value.ravel()[masked] = 0
            count.ravel()[masked] -= 1
        np.maximum(second, np.minimum(highest, value), out=second)
        np.maximum(highest, value, out=highest)
        np.minimum(lowest, value, out=lowest)
        total += value
        if masked.size:
            value.ravel()[masked] = np.nan
    # Two of many may be hot in the same place, when the sky moves slowly.
    without = np.where(count < CLIP_BOTH, np.minimum(count, 1), np.float32(2))
    with np.errstate(invalid="ignore"):
        rest = total - np.where(count > 0, highest, np.float32(0)) - np.where(without == 2, second, np.float32(0))
    number = np.maximum(count - without, 1)
    # Less what noise alone makes of the brightest of the neighbours: on empty sky the noise limit decides.
    others = rest / number - (CLIP_NEIGHBOUR_SIGMA / CLIP_SIGMA * limits.min()) / np.sqrt(number)
    brightest = others
    for _ in range(CLIP_REACH):
        brightest = _brightest_nearby(brightest)
    tolerance = CLIP_SOURCE * np.maximum(brightest, 0)
    # Sorting is for the few pixels where anything could be left out at all.
    where = np.nonzero(highest - lowest > tolerance + limits.min())
    if where[0].size:
        some = np.stack([value[where] for value in values])
        ranked = np.sort(some, axis=0)  # NaN last
        middle = (np.maximum(count[where].astype(np.intp), 1) - 1) // 2
        allowed = ranked[middle, np.arange(middle.size)] + tolerance[where] + limits[:, None]
        kept = some <= allowed  # false for NaN
        total[where] = np.where(kept, some, np.float32(0)).sum(axis=0)
        count[where] = kept.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return total / count, count


def _noise(frame: Image) -> float:
    """Noise of the sky pixels; infinite, so that nothing is clipped, for an empty frame."""
    sample = np.ravel(frame)[:: max(1, frame.size // NOISE_SAMPLE)]
    sample = sample[np.isfinite(sample)]
    return MAD_TO_SIGMA * float(np.median(np.abs(sample - np.median(sample)))) if sample.size else float("inf")


def _brightest_nearby(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Maximum over 3×3 pixels."""
    tall = image.copy()
    tall[1:] = np.maximum(tall[1:], image[:-1])
    tall[:-1] = np.maximum(tall[:-1], image[1:])
    wide = tall.copy()
    wide[:, 1:] = np.maximum(wide[:, 1:], tall[:, :-1])
    wide[:, :-1] = np.maximum(wide[:, :-1], tall[:, 1:])
    return wide
