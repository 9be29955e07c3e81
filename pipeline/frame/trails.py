"""Trails of satellites and aircraft: long, narrow, nearly straight lines of light across a frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.lines import Line, candidate_lines, densest_run, fit_line
from pipeline.frame.trail_following import BIN, REACH, Trail, follow, places
from pipeline.kernels.binning import binned_sums
from pipeline.kernels.places import NOWHERE, Places
from pipeline.statistics import MAD_TO_SIGMA, median_of

POINT_SIGMA = 2.5  # noise of a bin, of those that may belong to a trail
SUPPORT = 4  # bins from a bright bin to those, or their neighbours, that must be bright on two opposite sides
SUPPORT_DIRECTIONS = 8
MOST_POINTS = 4000  # bins that are looked at: more in a nebula; evenly thinned out
NOISE_STEP = 7  # every so many bins tell their noise
STAR_WING = 0.5  # sky rms to which a star's light is followed
STAR_BETA = 2.5  # of the Moffat profile that is taken for it: wide wings
STAR_ELONGATION = 0.3  # ellipticity over the frame's median: such a "star" may be a piece of a trail, and is not masked
STAR_WIDTH = 2.0  # times the frame's FWHM; likewise
CANDIDATES = 32  # strips with many points that are looked at
MOST_TRAILS = 12  # of one frame: a train of satellites
PROMISING = 25.0  # sum along the best part of a line of (bins' light in sigma, at most 3, less 1)
BRIGHT_STAR = 100.0  # sky rms, peak of stars with spikes

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def find_trails(image: Image, rms: float, stars: NDArray[Any], fwhm: float, saturated: Places = NOWHERE) -> list[Trail]:
    """The trails on a frame, brightest evidence first; nothing on nearly all frames, after about 10 ms for 2048².

    image: float32[ny, nx], sky subtracted, masked pixels NaN; rms: noise of a sky pixel; stars: STAR_DTYPE[n]; fwhm:
    of the frame's stars, px; saturated: int64[m], flat indices of such pixels. Lines are sought among bins of 4x4
    pixels without stars, then followed on the image itself: what is long, narrow and evenly bright is a trail;
    diffraction spikes, bleeding columns, columns of the detector and galaxies are not. Trails shorter than 200 px, or
    fainter than half a sky rms a pixel, are not found.
    """
    if not rms > 0 or not fwhm > 0 or min(image.shape) < 2 * REACH:
        return []
    bins = binned_sums(image, BIN)
    full = np.column_stack(np.divmod(saturated, image.shape[1])[::-1]).astype(np.float64)
    masked = _star_bins(_light_sources(image, stars, full, rms, fwhm), rms, fwhm, bins.shape)
    masked |= np.isnan(bins)
    free = bins[~masked][::NOISE_STEP]
    if not free.size:
        return []
    level = median_of(free)
    noise = max(MAD_TO_SIGMA * median_of(np.abs(free - level)), BIN * rms)
    x, y = _in_line((bins > level + POINT_SIGMA * noise) & ~masked)
    contrast = np.where(masked, 0, (bins - level) / noise).astype(np.float32)
    bright = stars[stars["peak"] > BRIGHT_STAR * rms]
    bright = np.column_stack([bright["x"], bright["y"]])
    trails: list[Trail] = []
    for _ in range(MOST_TRAILS):
        for line, start, end in _promising(contrast, candidate_lines(x, y, contrast.shape, CANDIDATES)):
            fitted = fit_line(x, y, line, start, end)
            trail = follow(image, rms, fitted, masked, bright, full)
            if trail is not None:
                trails.append(trail)
                beside = trail.distance((x + 0.5) * BIN - 0.5, (y + 0.5) * BIN - 0.5) > trail.half_width + 2 * BIN
                x, y = x[beside], y[beside]
                break
        else:
            break
    return trails


def _in_line(bright: Bools) -> tuple[Floats, Floats]:
    """Bright bins that have others to two opposite sides, x and y: of faint stars and noise, few have."""
    padded = np.pad(bright, SUPPORT + 1)
    near = padded.copy()
    for axis in (0, 1):
        near |= np.roll(near, 1, axis) | np.roll(near, -1, axis)
    where = np.flatnonzero(padded)
    flat, width = near.ravel(), padded.shape[1]
    supported = np.zeros(where.size, np.bool_)
    for angle in np.arange(SUPPORT_DIRECTIONS) * (np.pi / SUPPORT_DIRECTIONS):
        step = round(SUPPORT * np.sin(angle)) * width + round(SUPPORT * np.cos(angle))
        supported |= flat[where + step] & flat[where - step]
    y, x = np.divmod(where[supported], width)
    every = -(-x.size // MOST_POINTS) or 1
    return (x[::every] - SUPPORT - 1).astype(np.float64), (y[::every] - SUPPORT - 1).astype(np.float64)


def _promising(contrast: Image, lines: list[Line]) -> list[tuple[Line, float, float]]:
    """Lines along which most free bins have light and from where to where, the best first.

    A few bright bins (faint stars) do not count.

    contrast: float32[ny, nx], bins in units of their noise, 0 where masked.
    """
    if not lines:
        return []
    ny, nx = contrast.shape
    t = np.arange(-np.hypot(ny, nx) / 2, np.hypot(ny, nx) / 2)
    x0, y0, angle = (np.array([getattr(line, name) for line in lines])[:, None] for name in ("x", "y", "angle"))
    total = np.zeros((len(lines), t.size), np.float32)
    for s in (-1.0, 0.0, 1.0):
        x, y = places(x0, y0, angle, t, np.full(1, s))
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        total += np.where(inside, contrast[np.where(inside, y, 0), np.where(inside, x, 0)], 0)
    gain = np.where(total != 0, np.clip(total / np.float32(np.sqrt(3)), -2, 3) - 1, 0)
    runs = [densest_run(row) for row in gain]
    scores = [float(row[start:end].sum()) for row, (start, end) in zip(gain, runs, strict=True)]
    order = np.argsort(scores)[::-1]
    return [(lines[i], t[0] + runs[i][0], t[0] + runs[i][1]) for i in order if scores[i] > PROMISING]


def _light_sources(image: Image, stars: NDArray[Any], full: Floats, rms: float, fwhm: float) -> Floats:
    """Stars and saturated pixels (one in each bin) as rows of x, y (px) and peak: what trails are not made of."""
    usual = float(np.median(stars["ellipticity"])) if len(stars) else 0.0
    stars = stars[(stars["ellipticity"] < usual + STAR_ELONGATION) & (stars["fwhm"] < STAR_WIDTH * fwhm)]
    sources = np.column_stack([stars["x"], stars["y"], stars["peak"]])
    if not len(full):
        return sources
    _, one = np.unique(full // BIN @ (image.shape[1], 1), return_index=True)
    peak = float(np.nanmax(image[full[:, 1].astype(np.intp), full[:, 0].astype(np.intp)], initial=BRIGHT_STAR * rms))
    return np.vstack([sources, np.column_stack([full[one], np.full(one.size, peak)])])


def _star_bins(sources: Floats, rms: float, fwhm: float, shape: tuple[int, ...]) -> Bools:
    """Bins that the light of stars reaches; sources: rows of x, y (px) and peak."""
    masked = np.zeros(shape, np.bool_)
    scale = fwhm / (2 * np.sqrt(2 ** (1 / STAR_BETA) - 1))
    radius = scale * np.sqrt(np.maximum(sources[:, 2] / (STAR_WING * rms), 1) ** (1 / STAR_BETA) - 1)
    # In half bins: a bin counts when most of it may be reached.
    size = np.ceil(2 * np.minimum(radius / BIN + 0.25, min(shape) / 4)).astype(np.intp)
    column, row = np.rint((sources[:, :2] - (BIN - 1) / 2) / BIN).astype(np.intp).T
    for twice in np.flatnonzero(np.bincount(size)).tolist():
        chosen, r = size == twice, twice // 2
        dy, dx = np.nonzero(np.hypot(*np.ogrid[-r : r + 1, -r : r + 1]) <= twice / 2)
        y, x = row[chosen, None] + (dy - r), column[chosen, None] + (dx - r)
        np.clip(y, 0, shape[0] - 1, out=y)
        np.clip(x, 0, shape[1] - 1, out=x)
        masked[y, x] = True
    return masked
