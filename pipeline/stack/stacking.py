"""Aligned frames and stacks into a stack: weighted means that leave out what is masked or blank."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment
from pipeline.stack.starlight import REACH, STAR_CONTRAST, brightest_near
from pipeline.statistics import MAD_TO_SIGMA

Image = NDArray[np.float32]

TILE_SHIFT = 0.5  # px by which rotation and scale may move one end of a tile against the other
CLIP_SIGMA = 5.0  # noise above the others at which a pixel is left out
CLIP_BOTH = 4  # values from which two may be left out of the mean of the others
CLIP_NEIGHBOUR_SIGMA = 2.5  # noise of that mean by which a neighbour must stand out to count
CLIP_ROWS = 24  # rows at once: for the processor's cache, and for rotations up to a degree
NOISE_SAMPLE = 65536  # pixels that give a frame's noise
NONE = np.empty(0, np.intp)


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


def stack_frames(
    frames: Sequence[Image], alignments: Sequence[Alignment], suspects: Sequence[NDArray[np.integer]] | None = None
) -> Stack:
    """Align a few frames and average them without what stands far above the others: a leaf of the tree.

    Every reference pixel takes the frame's nearest pixel (the Tianyu paper rounds the frame's
    shift, section 3.2; here each part of a rotated frame has its own), so that noise and masks stay as they are. What
    lies outside the frame is left out, and so are hot pixels, cosmic rays and bright trails, as in `clipped_mean`.

    Args:
        frames: float32[ny, nx] each, sky subtracted, masked pixels NaN, at most a tree node's number.
        alignments: reference to frame, one each.
        suspects: flat indices of each frame's pixels that look like cosmic rays, each once. Such a pixel enters where
            the mean without the suspects is bright enough at its place, or nearby, for it to be a star's.

    Raises:
        UnusableDataError: no frame, or unlike shapes.
    """
    of_frames = [NONE] * len(frames) if suspects is None else suspects
    return _clipped_mean([_Aligned(*each) for each in zip(frames, alignments, of_frames, strict=True)])


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
        frame = _Placement(alignment, shape)
        shift = frame.shifts_of(xy)
        landed = xy + shift
        inside = ((landed >= 0) & (landed <= (nx - 1, ny - 1))).all(axis=1)
        total[inside] += (frame.to_turned_frame(xy) - landed)[inside]
        seen += inside
    return xy - total / np.maximum(seen, 1)[:, None]


class _Placement:
    """How the tiles of a frame are shifted to the reference's pixels."""

    def __init__(self, alignment: Alignment, shape: tuple[int, int]) -> None:
        ny, nx = shape
        centre = np.array([(nx - 1) / 2, (ny - 1) / 2])
        matrix, middle = alignment.matrix, alignment.to_frame(centre[None])[0]
        self.turned = bool(matrix[0, 0] < 0)  # after a meridian flip: turned back by half a turn about its centre
        if self.turned:
            matrix, middle = -matrix, 2 * centre - middle
        self._ny, self._nx = ny, nx
        self._middle, self._centre = middle, centre
        self._excess = matrix - np.eye(2)  # what the transformation does besides shifting
        slope = float(np.abs(self._excess).max())
        self._tile = nx if slope * max(shape) <= TILE_SHIFT else max(1, int(TILE_SHIFT / slope))

    def tiles(self) -> NDArray[np.intp]:
        """First columns of the tiles."""
        return np.arange(0, self._nx, self._tile)

    @property
    def tile(self) -> int:
        """Columns of a tile."""
        return self._tile

    def shifts(self, starts: NDArray[np.intp], row: NDArray[np.float64] | float) -> NDArray[np.int64]:
        """Shifts int64[n, 2] of tiles that begin at these columns, about this row."""
        x = np.minimum(starts + (self._tile - 1) / 2, self._nx - 1)
        points = np.column_stack([x, np.broadcast_to(row, x.shape)])
        return np.asarray(np.rint(self.to_turned_frame(points) - points), dtype=np.int64)

    def shifts_of(self, xy: NDArray[np.float64]) -> NDArray[np.int64]:
        """Shifts int64[n, 2] of the tiles that hold places of the reference, in a stack of `CLIP_ROWS` rows at once."""
        column, row = np.clip(np.rint(xy), 0, (self._nx - 1, self._ny - 1)).astype(np.intp).T
        first = row // CLIP_ROWS * CLIP_ROWS
        low = np.maximum(first - REACH, 0)
        high = np.minimum(np.minimum(first + CLIP_ROWS, self._ny) + REACH, self._ny)
        return self.shifts(column // self._tile * self._tile, (low + high - 1) / 2)

    def to_turned_frame(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places on the frame, turned back if it was, of places on the reference: float64[n, 2]."""
        points = xy - self._centre
        return np.asarray(xy + points @ self._excess.T + self._middle - self._centre)


class _Aligned:
    """A frame seen through its alignment, a few rows at a time."""

    def __init__(self, image: Image, alignment: Alignment, suspects: NDArray[np.integer] = NONE) -> None:
        ny, nx = image.shape
        self._placement = _Placement(alignment, (ny, nx))
        self._suspects, self._values = suspects.astype(np.intp), image.reshape(-1)[suspects]
        if suspects.size:
            image = image.copy()
            image.reshape(-1)[suspects] = np.nan
        self.image = image[::-1, ::-1] if self._placement.turned else image
        if self._placement.turned:
            self._suspects, self._values = image.size - 1 - self._suspects[::-1], self._values[::-1]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape

    def suspects(self, rows: slice) -> tuple[NDArray[np.intp], Image]:
        """Where in `rows` the suspects fall, as flat indices, and their values."""
        nx = self.image.shape[1]
        shifts = self._placement.shifts(self._placement.tiles(), (rows.start + rows.stop - 1) / 2)
        low, high = shifts[:, 1].min() + rows.start, shifts[:, 1].max() + rows.stop
        some = slice(*np.searchsorted(self._suspects, (low * nx, high * nx)))
        y, x = np.divmod(self._suspects[some], nx)
        # Tiles move unlike each other by at most a pixel: the shift at the pixel's own place is that of its tile but
        # for some at a tile's end, which stay out.
        tile = np.clip(x - shifts[np.clip(x // self._placement.tile, 0, len(shifts) - 1), 0], 0, nx - 1)
        x, y = (axis - shift for axis, shift in zip((x, y), shifts[tile // self._placement.tile].T, strict=True))
        inside = (x >= 0) & (x < nx) & (y >= rows.start) & (y < rows.stop)
        return (y[inside] - rows.start) * nx + x[inside], self._values[some][inside]

    def rows(self, rows: slice) -> Image:
        """Rows of the reference, float32[rows, nx]; each tile moves by its own rounded shift."""
        ny, nx = self.image.shape
        result = np.full((rows.stop - rows.start, nx), np.nan, np.float32)
        starts, tile = self._placement.tiles(), self._placement.tile
        shifts = self._placement.shifts(starts, (rows.start + rows.stop - 1) / 2)
        for start, (dx, dy) in zip(starts.tolist(), shifts.tolist(), strict=True):
            left, right = max(start, -dx), min(start + tile, nx, nx - dx)
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
        for start in range(0, total.shape[0], CLIP_ROWS):
            rows = slice(start, start + CLIP_ROWS)
            product = stack.image[rows] * stack.weight[rows]
            product[stack.weight[rows] == 0] = 0  # NaN × 0
            total[rows] += product
            weight[rows] += stack.weight[rows]
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
        reach = slice(max(0, rows.start - REACH), min(rows.stop + REACH, shape[0]))
        inner = slice(rows.start - reach.start, rows.stop - reach.start)
        total, count = _clip_block([frame.rows(reach) for frame in frames], limits)
        _take_in(total, count, [frame.suspects(reach) for frame in frames], limits)
        with np.errstate(invalid="ignore"):
            image[rows] = total[inner] / count[inner]
        weight[rows] = count[inner]
    return Stack(image, weight, len(frames))


def _clip_block(values: list[Image], limits: Image) -> tuple[Image, Image]:
    total, count = np.zeros_like(values[0]), np.full_like(values[0], len(values))
    highest = np.full_like(values[0], -np.inf)
    second, lowest, lower = highest.copy(), -highest, np.empty_like(highest)
    masks = []
    for value in values:
        masked = np.flatnonzero(np.isnan(value))
        if masked.size:  # few; for what is highest they count as sky, in the sum not at all
            value.ravel()[masked] = 0
            count.ravel()[masked] -= 1
            masks.append(masked)
        np.maximum(second, np.minimum(highest, value, out=lower), out=second)
        np.maximum(highest, value, out=highest)
        np.minimum(lowest, value, out=lowest)
        total += value
        if masked.size:
            value.ravel()[masked] = np.nan
    # Less what noise alone makes of the brightest of the neighbours: on empty sky the noise limit decides.
    margin = CLIP_NEIGHBOUR_SIGMA / CLIP_SIGMA * limits.min()
    others = _mean_of_others(total, highest, second, len(values), margin)
    if masks:
        masked = np.concatenate(masks)
        seen = count.ravel()[masked]
        for number in np.unique(seen).tolist():
            at = masked[seen == number]
            values_at = total.ravel()[at], highest.ravel()[at], second.ravel()[at]
            others.ravel()[at] = _mean_of_others(*values_at, int(number), margin)
    # Sorting, and looking around, is for the few pixels where anything could be left out at all.
    spread = np.subtract(highest, lowest, out=lower).ravel()
    where = np.flatnonzero(spread > limits.min())
    tolerance = STAR_CONTRAST * np.maximum(_brightest_nearby(others, where), 0)
    clipped = spread[where] > tolerance + limits.min()
    where, tolerance = where[clipped], tolerance[clipped]
    if where.size:
        some = np.stack([value.ravel()[where] for value in values])
        ranked = np.sort(some, axis=0)  # NaN last
        middle = (np.maximum(count.ravel()[where].astype(np.intp), 1) - 1) // 2
        allowed = ranked[middle, np.arange(middle.size)] + tolerance + limits[:, None]
        kept = some <= allowed  # false for NaN
        total.ravel()[where] = np.where(kept, some, np.float32(0)).sum(axis=0)
        count.ravel()[where] = kept.sum(axis=0)
    return total, count


def _take_in(total: Image, count: Image, suspects: list[tuple[NDArray[np.intp], Image]], limits: Image) -> None:
    """Add the suspects that the light nearby allows to the sum and the number of values, in place."""
    where = np.concatenate([place for place, _ in suspects])
    if not where.size:
        return
    values = np.concatenate([value for _, value in suspects])
    with np.errstate(invalid="ignore", divide="ignore"):
        # Less what noise alone makes of the brightest of the neighbours, so that a suspect on the sky stays out.
        mean = total / count - CLIP_NEIGHBOUR_SIGMA / CLIP_SIGMA * limits.min() / np.sqrt(count)
        fits = values <= STAR_CONTRAST * brightest_near(mean, where)
    np.add.at(total.reshape(-1), where[fits], values[fits])
    np.add.at(count.reshape(-1), where[fits], np.float32(1))


def _mean_of_others(total: Image, highest: Image, second: Image, count: int, margin: np.float32) -> Image:
    """Mean of all but the highest of ``count`` values, less the margin of one value's noise."""
    # Two of many may be hot in the same place, when the sky moves slowly.
    without = 2 if count >= CLIP_BOTH else min(count, 1)
    number = np.float32(max(count - without, 1))
    with np.errstate(invalid="ignore"):
        others: Image = total - highest if without else total.copy()
        if without == 2:
            others -= second
        others /= number
        others -= margin / np.sqrt(number)
    return others


def _noise(frame: Image) -> float:
    """Noise of the sky pixels; infinite, so that nothing is clipped, for an empty frame."""
    sample = np.ravel(frame)[:: max(1, frame.size // NOISE_SAMPLE)]
    sample = sample[np.isfinite(sample)]
    return MAD_TO_SIGMA * float(np.median(np.abs(sample - np.median(sample)))) if sample.size else float("inf")


def _brightest_nearby(image: Image, where: NDArray[np.intp]) -> Image:
    """Maximum within REACH pixels in x and in y of the pixels at flat indices ``where``."""
    tall = image.copy()
    for step in range(1, REACH + 1):
        np.maximum(tall[step:], image[:-step], out=tall[step:])
        np.maximum(tall[:-step], image[step:], out=tall[:-step])
    row, column = np.divmod(where, image.shape[1])
    brightest: Image = tall.ravel()[where]
    for step in (*range(-REACH, 0), *range(1, REACH + 1)):
        np.maximum(brightest, tall[row, np.clip(column + step, 0, image.shape[1] - 1)], out=brightest)
    return brightest
