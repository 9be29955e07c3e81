"""From the images of a file to the pixels of a frame: overscan, trim, amplifiers joined, one colour of a mosaic.

A frame that is the first image of its file as it is has no read-out to be described.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detector.overscan import line_levels
from pipeline.errors import UnusableDataError

Floats = NDArray[np.float32]
Pixels = EllipsisType | slice | tuple[slice, slice]


@dataclass(frozen=True)
class Window:
    """Pixels x0 <= x < x1, y0 <= y < y1 of an image, counted from 0."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Of an array [ny, nx]."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def holds(self, other: "Window") -> bool:
        """Whether all pixels of the other are its own."""
        return self.x0 <= other.x0 and other.x1 <= self.x1 and self.y0 <= other.y0 and other.y1 <= self.y1

    def meets(self, other: "Window") -> bool:
        """Whether some pixel is in both."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def __str__(self) -> str:
        """As headers write it: counted from 1, the last pixel too."""
        return f"[{self.x0 + 1}:{self.x1},{self.y0 + 1}:{self.y1}]"


@dataclass(frozen=True)
class Amplifier:
    """What one amplifier read of the detector.

    Attributes:
        data: its pixels that saw light, in its image.
        overscan: pixels of its image that it read without charge; None: no level is taken off.
        at: (x, y) of the joined frame where the lower left of its data comes to lie.
        flip: whether its data are turned round in x, in y, on their way there.
        factor: by which its counts are multiplied, to be those of the frame's gain.
        image: its number among the images of the read-out.
    """

    data: Window
    overscan: Window | None = None
    at: tuple[int, int] = (0, 0)
    flip: tuple[bool, bool] = (False, False)
    factor: float = 1.0
    image: int = 0


@dataclass(frozen=True)
class Readout:
    """How a frame is made of the images of its file.

    Attributes:
        shapes: (ny, nx) of these images as they were registered.
        amplifiers: which read them.
        images: numbers of their HDUs; empty: the first image of the file.
        cut: window of the joined frame that is left; None: all of it.
        phase: (x, y) of 0 or 1, of the left window's pixels that have one colour; None: all.
        bad_pixels: number of the HDU whose pixels are not 0 where those of the one image are bad; None: none is.
    """

    shapes: tuple[tuple[int, int], ...]
    amplifiers: tuple[Amplifier, ...]
    images: tuple[int, ...] = ()
    cut: Window | None = None
    phase: tuple[int, int] | None = None
    bad_pixels: int | None = None

    @property
    def joined(self) -> Window:
        """All amplifiers' data, side by side."""
        ends = [(a.at[0] + a.data.shape[1], a.at[1] + a.data.shape[0]) for a in self.amplifiers]
        return Window(0, max(x for x, _ in ends), 0, max(y for _, y in ends))

    @property
    def left(self) -> Window:
        """What is left of the joined frame."""
        return self.cut or self.joined

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the frame."""
        ny, nx = self.left.shape
        if self.phase is None:
            return ny, nx
        return len(range(self.phase[1], ny, 2)), len(range(self.phase[0], nx, 2))

    @property
    def origin(self) -> tuple[int, int] | None:
        """(x, y) of the file's pixel that is the frame's pixel (0, 0); None where several amplifiers were joined."""
        if len(self.amplifiers) != 1 or any(self.amplifiers[0].flip):
            return None
        data, (x, y) = self.amplifiers[0].data, self.phase or (0, 0)
        return data.x0 + self.left.x0 + x, data.y0 + self.left.y0 + y

    @property
    def step(self) -> int:
        """Pixels of the file from one pixel of the frame to the next."""
        return 1 if self.phase is None else 2


@dataclass(frozen=True)
class RawPixels:
    """A frame before calibration: ``(counts − pedestal) · factor``.

    Attributes:
        counts: real[ny, nx], ADU, as they were read: what is saturated or beyond linearity is told by them.
        pedestal: float32[ny or 1, nx or 1], ADU, the level of the overscan.
        factor: float32[ny, nx], of amplifiers whose gains differ.
        is_unwrapped: whether counts above 32767 had been stored as negative ones.
        bad: bool[ny, nx], pixels that the file calls bad; None: it says nothing of them.
    """

    counts: NDArray[Any]
    pedestal: Floats | None = None
    factor: Floats | None = None
    is_unwrapped: bool = False
    bad: NDArray[np.bool_] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(ny, nx)."""
        return self.counts.shape

    def __getitem__(self, where: Pixels) -> NDArray[Any]:
        """The signal of some pixels, real[ny, nx]: the counts themselves where nothing is taken off."""
        if self.pedestal is None and self.factor is None:
            return self.counts[where]
        image = self.counts[where].astype(np.float32)
        if self.pedestal is not None:
            image -= np.broadcast_to(self.pedestal, self.shape)[where]
        if self.factor is not None:
            image *= self.factor[where]
        return image

    def compact(self) -> "RawPixels":
        """Those of the same signal that take the least memory."""
        arrays = [array for array in (self.counts, self.pedestal, self.factor) if array is not None]
        is_smaller = sum(array.nbytes for array in arrays) <= self.counts.size * np.dtype(np.float32).itemsize
        return self if is_smaller or len(arrays) == 1 else RawPixels(self.signal())

    def signal(self) -> NDArray[Any]:
        """That of all pixels."""
        return self[...]


def read_out(images: Sequence[NDArray[Any]], readout: Readout) -> RawPixels:
    """The frame that the images of a file give.

    images: real[ny, nx] each, in the order of ``readout.shapes``. Raises UnusableDataError for other shapes.
    """
    if [image.shape for image in images] != list(readout.shapes):
        found, expected = (
            ", ".join(" x ".join(str(length) for length in reversed(shape)) for shape in shapes)
            for shapes in ([image.shape for image in images], readout.shapes)
        )
        raise UnusableDataError(f"its images have {found} pixels, they had {expected} when the frame was registered")
    if len(readout.amplifiers) == 1:
        return _left(readout, *_data(images, readout.amplifiers[0]))
    return _left(readout, *_joined(images, readout))


def read_bad(mask: NDArray[Any], readout: Readout) -> NDArray[np.bool_]:
    """Bool[ny, nx] of the frame that one image gives: where its mask, real of the image's shape, is not 0.

    Raises UnusableDataError for another shape.
    """
    amplifiers = tuple(replace(one, overscan=None, factor=1.0) for one in readout.amplifiers)
    counts = read_out([mask], replace(readout, amplifiers=amplifiers, images=())).counts
    return np.asarray(counts != 0)


def _data(images: Sequence[NDArray[Any]], amplifier: Amplifier) -> tuple[NDArray[Any], Floats | None, Floats | None]:
    """One amplifier's counts and pedestal, turned as they come to lie."""
    image, data = images[amplifier.image], amplifier.data
    level = None if amplifier.overscan is None else _pedestal(image, amplifier.overscan, data)
    turn = (slice(None, None, -1 if amplifier.flip[1] else 1), slice(None, None, -1 if amplifier.flip[0] else 1))
    return image[data.slices][turn], None if level is None else level[turn], None


def _joined(images: Sequence[NDArray[Any]], readout: Readout) -> tuple[NDArray[Any], Floats | None, Floats | None]:
    shape = readout.joined.shape
    counts = np.empty(shape, np.result_type(*images).newbyteorder("="))
    has_level = any(amplifier.overscan is not None for amplifier in readout.amplifiers)
    pedestal = np.zeros(shape, np.float32) if has_level else None
    factor = np.ones(shape, np.float32) if any(a.factor != 1.0 for a in readout.amplifiers) else None
    for amplifier in readout.amplifiers:
        (ny, nx), (x, y) = amplifier.data.shape, amplifier.at
        place = slice(y, y + ny), slice(x, x + nx)
        counts[place], level, _ = _data(images, amplifier)
        if pedestal is not None and level is not None:
            pedestal[place] = level
        if factor is not None:
            factor[place] = amplifier.factor
    return counts, pedestal, factor


def _left(readout: Readout, counts: NDArray[Any], pedestal: Floats | None, factor: Floats | None) -> RawPixels:
    """What is left by the cut and of one colour; arrays of one row or one column keep it."""
    rows, columns = readout.left.slices
    if readout.phase is not None:
        x, y = readout.phase
        rows, columns = slice(rows.start + y, rows.stop, 2), slice(columns.start + x, columns.stop, 2)

    def part(array: NDArray[Any] | None) -> Any:
        if array is None:
            return None
        whole = slice(None)
        some = array[whole if array.shape[0] == 1 else rows, whole if array.shape[1] == 1 else columns]
        return np.ascontiguousarray(some)

    return RawPixels(part(counts), part(pedestal), part(factor))


def _pedestal(image: NDArray[Any], overscan: Window, data: Window) -> Floats:
    """Level of each row of the data, float32[ny, 1], where the overscan lies beside them; else of each column.

    Of an overscan in the corner that shares neither, one level for all.
    """
    rows = _shared((overscan.y0, overscan.y1), (data.y0, data.y1))
    columns = _shared((overscan.x0, overscan.x1), (data.x0, data.x1))
    pixels = image[overscan.slices]
    if rows:
        return line_levels(pixels, overscan.y0 - data.y0, data.shape[0], is_before=overscan.x0 < data.x0)[:, None]
    if columns:
        return line_levels(pixels.T, overscan.x0 - data.x0, data.shape[1], is_before=overscan.y0 < data.y0)[None, :]
    return np.array([[np.median(pixels)]], np.float32)


def _shared(first: tuple[int, int], second: tuple[int, int]) -> int:
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))
