"""The stars of one frame: positions and shapes, for alignment and for judging the frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.defocus import LEAST_FWHM, centre_wide, extract_wide, half_flux_diameters, width_out_of_focus
from pipeline.frame.extraction import MINIMUM_AREA, find_objects
from pipeline.frame.one_star import first_of_star
from pipeline.frame.shapes import NARROWEST_WINDOW, PIXEL_VARIANCE, SIGMA_TO_FWHM, measure_shapes
from pipeline.kernels.places import Places, nan_places
from pipeline.kernels.star_windows import windowed_centres

STAR_DTYPE = np.dtype([("x", "f8"), ("y", "f8"), ("flux", "f4"), ("peak", "f4"), ("fwhm", "f4"), ("ellipticity", "f4")])

DETECTION_SIGMA = 5.0  # sky rms of one pixel, reached by each pixel of a detection in the smoothed image
SMOOTHING_VARIANCE = 0.5  # px², of extraction.SMOOTHING along each axis
MAXIMUM_PEAK_SHARE = 0.5  # brightest pixel over flux; a star of FWHM 1.5 px has at most 0.4
MAXIMUM_ELLIPTICITY = 0.7  # of single detections: axes 10:3; tracks and bleeding columns lie above
ELLIPTICITY_ALLOWANCE = 0.3  # over the frame's median, so that a badly tracked frame keeps its trailed stars
CENTROID_STARS = 300  # brightest stars that get windowed centroids and weighted widths, 10 µs each
WINDOW_REACH = 4.0  # sigma of a centroid's window to each side
WIDE_ROUNDS = 2  # searches for stars out of focus, each as wide as the one before found them
WIDE_AGREES = 0.1  # of the width, within which another search would find the same stars
WIDTH_ROUNDS = 2  # the weight as wide as the stars; a third changes the median by less than 1 %
BRIGHT_STARS = 200  # stars that make the frame's FWHM and ellipticity
SATURATED_PEAK = 0.85  # of the highest peak of the frame; above may be saturated
DEBLEND_LEVELS = 4  # of stars out of focus; with sep's 32 and its cleaning, half of a frame's time went into blends


def star_list(xy: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[Any]:
    """STAR_DTYPE[n], brightest first, of known positions float64[n, 2] (pixels) and fluxes; the shapes are zero."""
    stars = np.zeros(len(xy), STAR_DTYPE)
    stars["x"], stars["y"], stars["flux"] = xy[:, 0], xy[:, 1], flux
    return stars[np.argsort(-stars["flux"], kind="stable")]


def _axes(objects: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Major and minor axis, rms in px, without the smoothing.

    Objects are measured on the smoothed image: uncorrected, a star of FWHM 1.7 px has 2.4 px.
    """
    half: NDArray[np.float64] = (objects["x2"] + objects["y2"]) / 2
    apart: NDArray[np.float64] = (objects["x2"] - objects["y2"]) / 2
    bent = np.hypot(apart, objects["xy"])
    major, minor = (
        np.sqrt(np.maximum(axis - SMOOTHING_VARIANCE, PIXEL_VARIANCE)) for axis in (half + bent, half - bent)
    )
    return major, minor


def find_stars(
    image: NDArray[np.float32],
    rms: float,
    *,
    threshold: float = DETECTION_SIGMA,
    min_area: int = MINIMUM_AREA,
    masked: Places | None = None,
) -> NDArray[Any]:
    """Stars of an image without sky, brightest first; single sharp pixels and streaks are left out.

    image: float32[ny, nx], masked pixels NaN; rms: noise of a sky pixel; threshold: in rms; min_area: pixels; masked:
    int64[n], flat indices of the masked pixels, where they are known.
    Returns STAR_DTYPE[n]: x, y in pixels, flux and peak in the image's units, FWHM of the moments in pixels,
    ellipticity 1 − b/a; empty when there are no stars. The brightest 300 have windowed centroids, which scatter less
    than isophotal ones, and weighted widths: isophotal ones shrink towards the threshold, so that a frame's median
    told its depth more than its seeing (0.75 of the truth with 110 stars, 1.13 with 480).
    """
    if not rms > 0:
        return np.empty(0, STAR_DTYPE)
    work = np.ascontiguousarray(image, dtype=np.float32)
    masked = nan_places(work) if masked is None else masked
    objects = find_objects(work, threshold, noise=rms, masked=masked, min_area=min_area)
    stars = _listed(objects, *_axes(objects))
    piece = frame_fwhm(stars)
    _refine_centroids(work, stars[:CENTROID_STARS])
    _refine_widths(work, stars[:CENTROID_STARS])
    if frame_fwhm(stars) >= LEAST_FWHM:
        mask = np.isnan(work) if masked.size else None
        width = width_out_of_focus(work, *brightest(stars), piece, mask)
        if width is not None:
            options = {"noise": rms, "minarea": min_area, "deblend_nthresh": DEBLEND_LEVELS, "clean": False}
            return _find_wide(work, mask, width, threshold, options)
    return _joined(stars, frame_fwhm(stars))


def _find_wide(
    image: NDArray[np.float32], mask: NDArray[np.bool_] | None, fwhm: float, threshold: float, options: dict[str, Any]
) -> NDArray[Any]:
    """The stars of an image out of focus; fwhm: of the brightest, px."""
    stars = np.empty(0, STAR_DTYPE)
    for _ in range(WIDE_ROUNDS):
        objects = extract_wide(image, threshold, fwhm, mask=mask, **options)
        stars = _listed(objects, objects["a"], objects["b"])
        bright = stars[:CENTROID_STARS]
        _take_near(bright, *centre_wide(image, bright["x"], bright["y"], fwhm, mask), fwhm)
        width = half_flux_diameters(image, bright["x"], bright["y"], fwhm, mask)
        known = np.isfinite(width)
        bright["fwhm"][known] = width[known]
        guess, fwhm = fwhm, frame_fwhm(stars)
        if not np.isfinite(fwhm) or abs(fwhm / guess - 1) < WIDE_AGREES:
            break
    return _joined(stars, fwhm)


def _joined(stars: NDArray[Any], fwhm: float) -> NDArray[Any]:
    """The stars, pieces of one star joined, brightest first."""
    first = first_of_star(stars["x"], stars["y"], fwhm)
    pieces = np.flatnonzero(first != np.arange(len(stars)))
    if not pieces.size:
        return stars
    np.add.at(stars["flux"], first[pieces], stars["flux"][pieces])
    stars = np.delete(stars, pieces)
    return stars[np.argsort(-stars["flux"], kind="stable")]


def brightest(stars: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (px) of the unsaturated stars, brightest first."""
    chosen = _unsaturated(stars)
    return chosen["x"].copy(), chosen["y"].copy()


def _listed(objects: NDArray[Any], major: NDArray[np.float64], minor: NDArray[np.float64]) -> NDArray[Any]:
    """Objects that look like stars, brightest first; their axes without the smoothing, rms in px."""
    found = (objects["flux"] > 0) & (minor > 0)
    ellipticity = 1 - minor / major
    usual = float(np.median(ellipticity[found])) if found.any() else 0.0
    worst = max(MAXIMUM_ELLIPTICITY, usual + ELLIPTICITY_ALLOWANCE)
    kept = found & (objects["peak"] < MAXIMUM_PEAK_SHARE * objects["flux"]) & (ellipticity <= worst)
    order = np.flatnonzero(kept)[np.argsort(-objects["flux"][kept], kind="stable")]
    stars = np.empty(len(order), STAR_DTYPE)
    for name in ("x", "y", "flux", "peak"):
        stars[name] = objects[name][order]
    stars["fwhm"] = SIGMA_TO_FWHM * np.sqrt((major**2 + minor**2)[order] / 2)
    stars["ellipticity"] = ellipticity[order]
    return stars


def _refine_centroids(image: NDArray[np.float32], stars: NDArray[Any]) -> None:
    if not len(stars):
        return
    fwhm = max(frame_fwhm(stars), NARROWEST_WINDOW)
    sigma = fwhm / SIGMA_TO_FWHM
    reach = int(np.ceil(WINDOW_REACH * sigma))
    _take_near(stars, *windowed_centres(image, stars["x"], stars["y"], sigma**2, reach), fwhm)


def _take_near(stars: NDArray[Any], x: NDArray[np.float64], y: NDArray[np.float64], fwhm: float) -> None:
    # The window may walk to a brighter neighbour: keep the isophotal centroid there.
    off_x: NDArray[np.float64] = x - stars["x"]
    off_y: NDArray[np.float64] = y - stars["y"]
    near = np.hypot(off_x, off_y) < 0.5 * fwhm
    stars["x"][near], stars["y"][near] = x[near], y[near]


def _refine_widths(image: NDArray[np.float32], stars: NDArray[Any]) -> None:
    for _ in range(WIDTH_ROUNDS):
        fwhm = frame_fwhm(stars)
        if not np.isfinite(fwhm):
            return
        width = measure_shapes(image, stars["x"], stars["y"], fwhm).fwhm
        known = np.isfinite(width)
        stars["fwhm"][known] = width[known]


def frame_fwhm(stars: NDArray[Any]) -> float:
    """Median FWHM in pixels of the bright unsaturated stars; NaN when there are none. stars: STAR_DTYPE[n]."""
    return _median_of_bright(stars, "fwhm")


def frame_ellipticity(stars: NDArray[Any]) -> float:
    """Median ellipticity of the bright unsaturated stars; NaN when there are none. stars: STAR_DTYPE[n]."""
    return _median_of_bright(stars, "ellipticity")


def _median_of_bright(stars: NDArray[Any], name: str) -> float:
    if not len(stars):
        return float("nan")
    return float(np.median(_unsaturated(stars)[:BRIGHT_STARS][name]))


def _unsaturated(stars: NDArray[Any]) -> NDArray[Any]:
    unsaturated = stars[stars["peak"] < SATURATED_PEAK * stars["peak"].max(initial=0.0)]
    # Few stars are no ground to call the brightest saturated.
    return unsaturated if len(unsaturated) >= 5 else stars
