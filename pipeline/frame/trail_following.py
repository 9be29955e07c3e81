"""A line of bright bins followed on the frame itself: a trail, or what only looks like one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.lines import Line, densest_run
from pipeline.kernels.strips import strip_pixels
from pipeline.statistics import MAD_TO_SIGMA

BIN = 4  # px a side of the bins in which trails are sought: a trail of one sky rms a pixel has 3 sigma in each
CHUNK = 32  # px along a line that are looked at together
REACH = 40  # px to each side
SIDE = 28  # px from the line where its sides begin
SEARCH = 16  # px from the straight line at which a trail may run: curvature, and the rounding of the search
CHUNK_SIGMA = 3.5  # of a chunk in which the trail is seen
CHUNK_PIXELS = 8  # free of stars across the chunk, or nothing is known there
DEVIATION = 3.0  # px of a chunk from the curve
SHORTEST = 200.0  # px
FEWEST_CHUNKS = 6
SEEN = 0.7  # of the chunks along a trail
WHOLE_SIGMA = 6.0  # of the sides' scatter, by which the middle of a whole trail stands out: crowded fields have lanes
FAINTEST = 0.4  # sky rms, of the trail's middle after smoothing over 3 px
ELONGATION = 40.0  # least length over half-width of a trail that ends on the frame: a galaxy has less
FADING = 0.5  # of the light, far from a star over near it: less is a diffraction spike
UNEVEN = 2.5  # tenth brightest part over tenth faintest, of what ends on the frame: more is no trail
BLEEDING_DISTANCE = 10.0  # px from a saturated pixel to the column that bled from it
SPIKE_DISTANCE = 20.0  # px from a star to the line, continued by its own length, of the spikes that are its own
ALIGNED = 0.01  # slope against rows and columns of what comes from the detector: a trail is seldom so well aligned
BLEEDING = 0.15  # likewise of what passes a saturated pixel, and has bled from it
COLUMN_SHARE = 0.65  # of the middle's light in the pixels beside it: less, and it is a column of the detector
WING = 0.1  # sky rms to which a trail is masked
WIDEST = 30  # px from its middle

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Trail:
    """A curve ``(x, y) + t (cos, sin) + across(t) (-sin, cos)`` for ``start <= t <= end``, all in px.

    across: coefficients of a polynomial, highest first; half_width: px that its light reaches to each side; height:
    of its middle, sky rms.
    """

    x: float
    y: float
    angle: float
    start: float
    end: float
    across: tuple[float, ...]
    half_width: float
    height: float

    def distance(self, x: Floats, y: Floats) -> Floats:
        """From the curve, continued to both sides, px."""
        along, across = Line(self.x, self.y, self.angle).along_and_across(x, y)
        return np.asarray(np.abs(across - np.polyval(self.across, along)))

    def pixels(self, shape: tuple[int, int]) -> NDArray[np.intp]:
        """Flat indices of the pixels it covers, each at least once."""
        t = np.arange(self.start, self.end, 0.5)
        s = np.polyval(self.across, t)[:, None] + np.arange(-self.half_width, self.half_width + 0.25, 0.5)
        x, y = places(self.x, self.y, self.angle, t[:, None], s)
        inside = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        return np.asarray((y * shape[1] + x)[inside], np.intp)


def places(x: Any, y: Any, angle: Any, t: Floats, s: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Nearest pixels (x, y) of the points ``t`` along and ``s`` across the lines through (x, y) at ``angle``."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.rint(x + t * cos - s * sin).astype(np.intp), np.rint(y + t * sin + s * cos).astype(np.intp)


def _strip(image: Image, masked: Bools, line: Line, t: Floats, s: Floats) -> Image:
    """The image along a line: float32[t, s], NaN under stars and outside."""
    return strip_pixels(image, masked, BIN, (line.x, line.y, line.angle), t, s)


def _medians(values: Image) -> tuple[Floats, NDArray[np.intp]]:
    """Median over the first axis but one, and how many values it has: of [n, m, k], each [n, k]; NaN left out."""
    count = np.count_nonzero(np.isfinite(values), axis=1)
    ranked = np.sort(values, axis=1)  # NaN last
    low, high = (
        np.take_along_axis(ranked, np.maximum(place, 0)[:, None, :], axis=1)[:, 0]
        for place in ((count - 1) // 2, count // 2)
    )
    return np.where(count > 0, (low + high) / 2, np.nan).astype(np.float64), count


def follow(image: Image, rms: float, line: Line, masked: Bools, bright: Floats, full: Floats) -> Trail | None:
    """The trail along a line of bins, or None when there is none."""
    line = Line((line.x + 0.5) * BIN - 0.5, (line.y + 0.5) * BIN - 0.5, line.angle)
    t = _inside_range(line, image.shape)
    if t.size < SHORTEST:
        return None
    t = t[: t.size // CHUNK * CHUNK]
    # A bin of the trail itself may be masked as a star, if a star lies on it: those chunks know less, that is all.
    s = np.arange(-REACH, REACH + 1.0)
    chunks, count = _medians(_strip(image, masked, line, t, s).reshape(-1, CHUNK, s.size))
    middle = t.reshape(-1, CHUNK).mean(axis=1)
    peak, height, known = _peaks(chunks, count, s, rms)
    curve, on = _curve(middle, peak, known & (height > CHUNK_SIGMA * _chunk_noise(count, rms)))
    if curve is None:
        return None
    first, last = densest_run(np.where(on, 1.0, np.where(known, -1.0, 0.0)))
    run = slice(first, last)
    seen, long = int(on[run].sum()), (last - first) * CHUNK
    if seen < FEWEST_CHUNKS or seen < SEEN * known[run].sum() or long < SHORTEST:
        return None
    start, end = float(middle[first] - CHUNK), float(middle[last - 1] + CHUNK)
    if _belongs_to_star(line, curve, middle[run], np.where(on[run], height[run], np.nan), np.vstack([bright, full])):
        return None
    whole = first == 0 and last == middle.size
    if not whole and _uneven(height[run][on[run]]):
        return None
    profile = _whole_profile(image, masked, line, curve, np.arange(start, end), rms)
    if profile.height < max(FAINTEST * rms, WHOLE_SIGMA * profile.noise):
        return None
    if not whole and end - start < ELONGATION * profile.half_width:
        return None
    chord = line.angle + float(np.arctan((np.polyval(curve, end) - np.polyval(curve, start)) / (end - start)))
    straight = min(abs(np.sin(chord)), abs(np.cos(chord)))
    if straight < ALIGNED and profile.share < COLUMN_SHARE:
        return None
    if straight < BLEEDING and _passes(line, curve, start, end, full, BLEEDING_DISTANCE).size:
        return None
    return Trail(line.x, line.y, line.angle, start, end, curve, profile.half_width, profile.height / rms)


def _inside_range(line: Line, shape: tuple[int, ...]) -> Floats:
    """Steps of a pixel along the line where it lies inside the image."""
    low, high = -np.inf, np.inf
    for origin, step, size in ((line.x, np.cos(line.angle), shape[1]), (line.y, np.sin(line.angle), shape[0])):
        if abs(step) < 1e-9:
            continue
        ends = sorted(((0 - origin) / step, (size - 1 - origin) / step))
        low, high = max(low, ends[0]), min(high, ends[1])
    return np.arange(np.ceil(low), high) if low < high else np.empty(0)


def _chunk_noise(count: NDArray[np.intp], rms: float) -> Floats:
    """Noise of a chunk's median profile, smoothed over three pixels."""
    usual = np.maximum(np.median(count, axis=1), 1)
    return np.asarray(1.2533 * rms / np.sqrt(3 * usual))


def _peaks(profile: Floats, count: NDArray[np.intp], s: Floats, rms: float) -> tuple[Floats, Floats, Bools]:
    """Where each chunk's profile is highest, how high over its sides, and whether enough pixels say so."""
    values = np.where(count >= CHUNK_PIXELS, profile, np.nan)
    sides = values[:, np.abs(s) >= SIDE]
    filled = np.where(np.isfinite(sides), sides, 0.0)
    number = np.isfinite(sides).sum(axis=1)
    base = filled.sum(axis=1) / np.maximum(number, 1)
    smooth = (values[:, :-2] + values[:, 1:-1] + values[:, 2:]) / 3 - np.clip(base, -rms, rms)[:, None]
    near = np.abs(s[1:-1]) <= SEARCH
    searched = np.where(np.isfinite(smooth[:, near]), smooth[:, near], -np.inf)
    best = np.argmax(searched, axis=1)
    known = np.isfinite(searched).mean(axis=1) > 0.5
    height = searched[np.arange(len(searched)), best]
    return s[1:-1][near][best], np.where(known, height, 0.0), known


def _curve(t: Floats, peak: Floats, seen: Bools) -> tuple[tuple[float, ...] | None, Bools]:
    """A polynomial through the peaks of the chunks that see the trail, and which of them lie on it."""
    if seen.sum() < FEWEST_CHUNKS:
        return None, seen
    # The position that most chunks share, within the tolerance, is where the fit begins.
    votes = (np.abs(peak[seen][:, None] - peak[seen]) < 2 * DEVIATION).sum(axis=1)
    curve = np.array([float(peak[seen][np.argmax(votes)])])
    on = seen
    for degree, tolerance in ((0, 3 * DEVIATION), (1, 2 * DEVIATION), (2, DEVIATION), (2, DEVIATION)):
        on = seen & (np.abs(peak - np.polyval(curve, t)) < tolerance)
        if on.sum() < FEWEST_CHUNKS:
            return None, on
        curve = np.polyfit(t[on] / t.size, peak[on], degree) / float(t.size) ** np.arange(degree, -1, -1)
    return tuple(curve.tolist()), seen & (np.abs(peak - np.polyval(curve, t)) < DEVIATION)


def _passes(line: Line, curve: tuple[float, ...], start: float, end: float, places: Floats, distance: float) -> Floats:
    """Where along the curve the places (float64[n, 2], px) lie that it passes, in order."""
    along, across = line.along_and_across(places[:, 0], places[:, 1])
    on = np.abs(across - np.polyval(curve, along)) < distance
    return np.sort(along[on & (along > start) & (along < end)])


def _belongs_to_star(line: Line, curve: tuple[float, ...], t: Floats, height: Floats, bright: Floats) -> bool:
    """Whether the light falls off with the distance from a bright star on the line, as diffraction spikes do."""
    length = float(t[-1] - t[0])
    # Far from the run a parabola leads astray: the chord is what is continued.
    chord = np.polyfit(t[[0, -1]], np.polyval(curve, t[[0, -1]]), 1)
    passed = _passes(line, tuple(chord), t[0] - length, t[-1] + length, bright, SPIKE_DISTANCE)
    if not passed.size:
        return False
    # Pixels of one saturated star count once.
    for star in np.split(passed, np.flatnonzero(np.diff(passed) > CHUNK) + 1):
        distance = np.abs(t - np.median(star))
        near = distance < 0.5 * distance.max()
        inner, outer = height[near & np.isfinite(height)], height[~near & np.isfinite(height)]
        if inner.size and outer.size and np.median(outer) < FADING * np.median(inner):
            return True
    return False


def _uneven(height: Floats) -> bool:
    """Whether some parts are much brighter than others, as of galaxies, spikes and halos."""
    faint, bright = np.quantile(height, (0.1, 0.9))
    return bool(bright > UNEVEN * faint)


@dataclass(frozen=True)
class _Profile:
    """Across a whole trail. height: of its middle, smoothed over 3 px, over its sides, ADU; noise: of the sides, ADU.

    half_width: px that its light reaches; share: light of the pixels beside the middle over the middle's.
    """

    height: float
    noise: float
    half_width: float
    share: float


def _whole_profile(
    image: Image, masked: Bools, line: Line, curve: tuple[float, ...], t: Floats, rms: float
) -> _Profile:
    s = np.arange(-REACH, REACH + 1.0)
    strip = _strip(image, masked, line, t, np.polyval(curve, t)[:, None] + s)
    profile, count = (part[0] for part in _medians(strip[None]))
    smooth = np.convolve(profile, np.full(3, 1 / 3), mode="same")
    side = smooth[1:-1][np.abs(s[1:-1]) >= SIDE]
    middle = slice(REACH - 2, REACH + 3)
    if np.isnan(profile[middle]).any() or np.isnan(side).all():
        return _Profile(0.0, rms, 0.0, 0.0)
    base = float(np.nanmedian(side))
    profile = profile - base
    limit = max(WING * rms, 3 * 1.2533 * rms / np.sqrt(max(float(np.median(count)), 1)))
    height = np.fmax(profile[REACH::-1], profile[REACH:])  # by distance from the middle
    below = np.flatnonzero(~(height[1:] > limit))
    reach = int(below[0]) + 1 if below.size else REACH
    place = REACH - 2 + int(np.argmax(profile[middle]))
    share = float(profile[[place - 1, place + 1]].mean() / profile[place]) if profile[place] > 0 else 0.0
    noise = MAD_TO_SIGMA * float(np.nanmedian(np.abs(side - base)))
    return _Profile(float(smooth[middle].max()) - base, noise, float(min(reach + 1, WIDEST)), share)
