"""Objects on an image: islands above a threshold, parted where hills of light stand out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import DOUBLE, REAL, SIZE, Kernel, array

OBJECT_DTYPE = np.dtype(
    [(name, "f8") for name in ("npix", "flux", "x", "y", "x2", "y2", "xy", "peak", "xpeak", "ypeak")]
)
NEIGHBOURS = 8
EXPECTED_SHARE = 16  # of the pixels, one in so many may be bright at first
MOST_BRIGHT = 20_000_000  # pixels, each takes 88 bytes

INDICES, NUMBERS, FLOATS, DOUBLES = (array(dtype) for dtype in (np.int64, np.int32, np.float32, np.float64))
_BRIGHT_PIXELS = Kernel(
    "bright_pixels", FLOATS, SIZE, SIZE, REAL, SIZE, FLOATS, NUMBERS, INDICES, FLOATS, NUMBERS, result=SIZE
)
_PART_OBJECTS = Kernel(
    "part_objects",
    SIZE,
    FLOATS,
    NUMBERS,
    SIZE,
    REAL,
    DOUBLE,
    *[NUMBERS] * 5,
    DOUBLES,
    DOUBLES,
    FLOATS,
    NUMBERS,
    result=SIZE,
)
_OBJECT_MOMENTS = Kernel(
    "object_moments", FLOATS, SIZE, SIZE, INDICES, FLOATS, NUMBERS, SIZE, DOUBLES, array(OBJECT_DTYPE)
)


def bright_objects(
    image: NDArray[np.float32], threshold: float, *, least: int, prominence: float, share: float
) -> NDArray[Any]:
    """Objects of the image smoothed by (1 2 1) × (1 2 1) / 16, in the order of their summits.

    image: float32[ny, nx], contiguous, finite; threshold: of each smoothed pixel of an object; least: pixels of an
    object; prominence: of its summit over the saddle to a higher one; share: of all light of the island that must lie
    above that saddle. What does not reach these is part of what it touches there.
    Returns OBJECT_DTYPE[n]: pixels, flux, centre (px) and second moments (px²) weighted by smoothed values, the
    brightest pixel and its place. Raises OverflowError: more than 20 million pixels are bright.
    """
    place, value, links = _bright_pixels(image, threshold)
    number = len(place)
    object_of = np.empty(number, np.int32)
    integers, doubles, peak = np.empty((5, number), np.int32), np.empty((2, number)), np.empty(number, np.float32)
    objects = _PART_OBJECTS(number, value, links, least, prominence, share, *integers, *doubles, peak, object_of)
    found = np.zeros(objects, OBJECT_DTYPE)
    _OBJECT_MOMENTS(image, image.shape[1], number, place, value, object_of, objects, np.zeros(objects), found)
    return found


def _bright_pixels(
    image: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int32]]:
    """Flat indices, smoothed values and neighbours (numbers in this list) of the pixels above the threshold."""
    ny, nx = image.shape
    most = image.size // EXPECTED_SHARE + 1
    while True:
        place, value, links = (
            np.empty(most, np.int64),
            np.empty(most, np.float32),
            np.empty((most, NEIGHBOURS), np.int32),
        )
        work, numbers = np.zeros((2, nx + 2), np.float32), np.full((2, nx + 2), -1, np.int32)
        found = _BRIGHT_PIXELS(image, ny, nx, threshold, most, work, numbers, place, value, links)
        if found <= most:
            return place[:found], value[:found], links[:found]
        if found > MOST_BRIGHT:
            raise OverflowError(f"{found:,} pixels are above the threshold, expected at most {MOST_BRIGHT:,}")
        most = found


def bright_objects_reference(
    image: NDArray[np.float32], threshold: float, *, least: int, prominence: float, share: float
) -> NDArray[Any]:
    """`bright_objects` by NumPy, and Python where pixels are taken one by one."""
    smooth = _smooth(image)
    place = np.flatnonzero(smooth > np.float32(threshold))
    value, beside = smooth.ravel()[place], _neighbours(place, image.shape[1])
    island = _islands(beside)
    light_of = [sum(float(value[k]) for k in np.flatnonzero(island == one)) for one in range(len(place))]
    hill: dict[int, int] = {}  # a higher pixel, or for a summit itself
    land: dict[int, set[int]] = {}  # all that is connected to a pixel down to here, itself included

    def stands_out(pixels: set[int], saddle: float) -> bool:
        total = light_of[island[min(pixels)]]
        above = sum(float(value[k]) for k in pixels) - saddle * len(pixels)
        is_high = value[summit(pixels)] - np.float32(saddle) >= np.float32(prominence)
        return bool(is_high and len(pixels) >= least and above > share * total)

    def summit(pixels: set[int]) -> int:
        return max(pixels, key=lambda k: (value[k], -k))

    def top(pixel: int) -> int:
        while hill[pixel] != pixel:
            pixel = hill[pixel]
        return pixel

    for pixel in np.argsort(-value, kind="stable").tolist():
        higher = [k for k in beside[pixel] if k in land]
        hill[pixel] = max(higher, key=lambda k: value[k]) if higher else pixel
        own = land[hill[pixel]] if higher else set()
        for other in higher:
            if land[other] is own:
                continue
            lesser, greater = sorted((own, land[other]), key=lambda pixels: (value[summit(pixels)], -summit(pixels)))
            saddle = float(value[pixel])
            if not (stands_out(lesser, saddle) and stands_out(greater, saddle)):
                weaker = greater if stands_out(lesser, saddle) else lesser
                if weaker is own:
                    hill[top(hill[pixel])] = other
                else:
                    hill[top(other)] = pixel
            own |= land[other]
            land.update(dict.fromkeys(own, own))
        own.add(pixel)
        land[pixel] = own
    summits = np.array([top(k) for k in range(len(place))], np.int64)
    kept = [one for one in range(len(place)) if np.count_nonzero(summits == one) >= least]
    of_each = [summits == one for one in kept]
    rows = [_measured(image, place[own], value[own].astype(np.float64)) for own in of_each]
    return np.array(rows, OBJECT_DTYPE)


def _smooth(image: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.pad(image, ((1, 1), (0, 0)))
    column = np.pad(2 * rows[1:-1] + rows[:-2] + rows[2:], ((0, 0), (1, 1)))
    return np.asarray((column[:, :-2] + 2 * column[:, 1:-1] + column[:, 2:]) * np.float32(0.0625))


def _neighbours(place: NDArray[np.intp], nx: int) -> list[list[int]]:
    """Numbers of the eight pixels about each of these flat indices that are among them, in their order."""
    number = {one: k for k, one in enumerate(place.tolist())}
    around = ((0, -1), (-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1), (0, 1))
    return [
        [number[one + dy * nx + dx] for dy, dx in around if 0 <= one % nx + dx < nx and one + dy * nx + dx in number]
        for one in place.tolist()
    ]


def _islands(beside: list[list[int]]) -> NDArray[np.int64]:
    """The first pixel of the island of each pixel."""
    island = np.full(len(beside), -1)
    for first in range(len(beside)):
        reached = [first] if island[first] < 0 else []
        while reached:
            pixel = reached.pop()
            if island[pixel] < 0:
                island[pixel] = first
                reached += beside[pixel]
    return island


def _measured(image: NDArray[np.float32], place: NDArray[np.intp], weight: NDArray[np.float64]) -> tuple[float, ...]:
    y, x = np.divmod(place, image.shape[1])
    pixels = image.ravel()[place].astype(np.float64)
    peak = int(np.argmax(pixels))
    mx, my = np.average(x, weights=weight), np.average(y, weights=weight)
    moments = (
        np.average((a - ma) * (b - mb), weights=weight)
        for a, ma, b, mb in ((x, mx, x, mx), (y, my, y, my), (x, mx, y, my))
    )
    return (len(place), pixels.sum(), mx, my, *moments, pixels[peak], x[peak], y[peak])
