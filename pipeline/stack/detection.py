"""The sources of a template, and which of them are already known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.frame.background import subtract_background
from pipeline.frame.bad_pixels import find_sharp_pixels
from pipeline.frame.defocus import LEAST_FWHM, centre_wide, extract_wide, half_flux_diameters, out_of_focus
from pipeline.frame.extraction import extract, start_at_peaks, start_at_stars
from pipeline.frame.one_star import first_of_star
from pipeline.frame.shapes import NARROWEST_WINDOW, SIGMA_TO_FWHM, Shapes, measure_shapes
from pipeline.frame.stars import brightest, find_stars, frame_fwhm
from pipeline.nearest import closest_pairs, tree_of
from pipeline.stack.hidden_stars import add_hidden, is_apart
from pipeline.stack.prominence import prominence
from pipeline.stack.stacking import Stack

SOURCE_DTYPE = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("flux", "f4"),
        ("flux_error", "f4"),
        ("fwhm", "f4"),
        ("ellipticity", "f4"),
        ("a", "f4"),
        ("b", "f4"),
        ("theta", "f4"),
        ("flag", "i4"),
    ]
)

DETECTION_SIGMA = 5.0  # of each pixel of a detection in the smoothed image
DEBLEND_CONTRAST = 0.0001  # of a blend's flux; sep's 0.005 hides stars that touch one 200 times brighter
DEBLEND_LEVELS = 64  # from a blend's threshold to its peak, told apart by their logarithm
DEFAULT_FWHM = 2.5  # px, where no star is bright enough to tell
EXTRACTED_WEIGHT = 0.25  # of the full weight; less is masked
COVERED_WEIGHT = 0.5  # of the full weight, at the position of a source
APERTURE_FWHM = 1.5  # radius of the aperture that measures a source's flux
SHAPE_STARS_SNR = 20.0  # stars above it, in flux over error, tell how stars look on this template
SHAPE_STARS_MINIMUM = 5
SHARP_FRACTION = 0.4  # of the stars' variance along the minor axis; hot pixels and their tracks have 0.1 to 0.3
MAXIMUM_ELLIPTICITY = 0.7  # axes 10:3 …
ELLIPTICITY_ALLOWANCE = 0.3  # … or as much above the stars' median
MAXIMUM_STREAK = 0.85  # of a detection as a whole: axes 7:1, trails and bleeding columns
MAXIMUM_WALK = 0.5  # FWHM that a windowed centroid may lie from the detection's
# FWHM from a star out of focus, or joined of pieces, to one that shares its light; two rings touch at 1.3.
BLEND_REACH = 2.0
MINIMUM_SNR = 3.0  # of the aperture flux; less is a ripple beside a brighter star
# Of the core above its near ring: of 192 pieces of simulated halos one had more, of 640 stars above 5 sigma none less.
MINIMUM_PROMINENCE = 3.5
CUT_FWHM = 0.5  # distance to blank pixels or the border below which a star's position is that of what is left of it
EDGE_FWHM = 1.0  # distance to blank pixels or the border below which a source is flagged


def detect_sources(template: Stack, *, threshold: float = DETECTION_SIGMA, fwhm: float | None = None) -> NDArray[Any]:
    """Sources on a template, brightest first; hot pixels, their tracks and streaks are left out.

    template: Stack of aligned frames; threshold: significance of each of five pixels of a detection in the slightly
    smoothed image, which finds lone stars of S/N 10; fwhm: px, of the stars, measured when not given. The sky is
    subtracted and its noise scaled by the weight map. Sources lie where at least half of the frames do, with their peak
    well inside: a star cut by the border has no position.
    Returns SOURCE_DTYPE[n]: position in px; flux in a radius of 1.5 FWHM, in the image's units, and its error from the
    sky noise alone; FWHM of the moments in px; ellipticity; semi-axes (px, one standard deviation) and angle (radians)
    of the detection; flag BLENDED or EDGE. Empty when nothing is found.
    Raises UnusableDataError when the template is empty.
    """
    full = float(template.weight.max(initial=0.0))
    if not full > 0:
        raise UnusableDataError("the template is empty, expected good frames in it: see why frames were rejected")
    covered, blank = template.weight >= COVERED_WEIGHT * full, template.weight < EXTRACTED_WEIGHT * full
    image, root = np.where(blank, np.float32(np.nan), template.image), np.sqrt(template.weight, dtype=np.float32)
    del template  # it takes as much memory as what is made of it
    sky = _Sky.of(image, root, blank)
    if sky is None:
        return np.empty(0, SOURCE_DTYPE)
    fwhm, wide = _focus(sky, fwhm)
    options: dict[str, Any] = {"noise": sky.noise, "mask": sky.mask}
    # sep's cleaning takes out real stars of S/N 10 to 20.
    options |= {"deblend_nthresh": DEBLEND_LEVELS, "deblend_cont": DEBLEND_CONTRAST, "clean": False}
    objects = extract_wide(sky.image, threshold, fwhm, **options) if wide else extract(sky.image, threshold, **options)
    objects = objects[(objects["flux"] > 0) & (objects["a"] > 0)]
    hidden = np.zeros(len(objects), np.bool_)
    if wide:
        start_at_peaks(objects, fwhm)
    else:
        objects["flag"][start_at_stars(objects, sky.image, fwhm)] |= sep.OBJ_MERGED
        objects = add_hidden(objects, sky.image, threshold, fwhm, noise=sky.noise, mask=sky.mask)
        hidden = np.arange(len(objects)) >= len(hidden)
    rows, columns = _pixels(objects, sky.image.shape)
    inside = covered[rows, columns]
    objects, hidden = objects[inside], hidden[inside]
    return _measure(objects, hidden, sky, fwhm, wide) if len(objects) else np.empty(0, SOURCE_DTYPE)


@dataclass(frozen=True)
class _Sky:
    """Template without sky, noise of each pixel, and what is masked: blank pixels, and those besides that are sharp."""

    image: NDArray[np.float32]
    noise: NDArray[np.float32]
    blank: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    rms: float

    @classmethod
    def of(cls, image: NDArray[np.float32], noise: NDArray[np.float32], blank: NDArray[np.bool_]) -> "_Sky | None":
        """Of a template, NaN where it is blank, and of the roots of its weights, both changed IN PLACE."""
        image, background = subtract_background(image)
        if not background.rms > 0:
            return None
        # The noise of one frame, from an image in which each pixel has it, whatever its weight.
        frame_noise = subtract_background(image * noise)[1].rms
        with np.errstate(divide="ignore"):
            np.divide(frame_noise, noise, out=noise)
        noise[blank] = np.inf
        mask = find_sharp_pixels(image / noise, 1.0)
        mask |= np.isnan(image)
        return cls(image, noise, blank, mask, background.rms)


def _focus(sky: _Sky, fwhm: float | None) -> tuple[float, bool]:
    """FWHM of the stars (px), measured where it is not given, and whether they are out of focus."""
    if fwhm is not None and fwhm < LEAST_FWHM:
        return fwhm, False
    stars = find_stars(np.where(sky.mask, np.float32(np.nan), sky.image), sky.rms)
    if fwhm is None or not np.isfinite(fwhm):
        fwhm = frame_fwhm(stars)
        fwhm = fwhm if np.isfinite(fwhm) else DEFAULT_FWHM
    return fwhm, out_of_focus(sky.image, *brightest(stars), fwhm, sky.mask)


def _pixels(objects: NDArray[Any], shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows = np.clip(np.rint(objects["y"]).astype(np.intp), 0, shape[0] - 1)
    columns = np.clip(np.rint(objects["x"]).astype(np.intp), 0, shape[1] - 1)
    return rows, columns


def _like_stars(
    objects: NDArray[Any], shapes: Shapes, snr: NDArray[np.float64], beside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    sample = snr > SHAPE_STARS_SNR
    if np.count_nonzero(sample) < SHAPE_STARS_MINIMUM:
        sample = np.isfinite(shapes.minor)
    if not sample.any():
        return sample
    narrowest = SHARP_FRACTION * float(np.nanmedian(shapes.minor[sample]))
    most = max(MAXIMUM_ELLIPTICITY, float(np.nanmedian(shapes.ellipticity[sample])) + ELLIPTICITY_ALLOWANCE)
    longest = 1 - objects["b"] / objects["a"] < MAXIMUM_STREAK
    # A brighter star's light draws the moments of what is beside it out.
    round_enough = (shapes.ellipticity < most) | beside
    return np.asarray((snr > MINIMUM_SNR) & (shapes.minor > narrowest) & round_enough & longest)


def _measure(objects: NDArray[Any], hidden: NDArray[np.bool_], sky: _Sky, fwhm: float, wide: bool) -> NDArray[Any]:
    order = np.argsort(-objects["flux"], kind="stable")
    objects, hidden = objects[order], hidden[order]
    x, y = _centres(objects, sky, fwhm, wide)
    # A window would take in the brighter star.
    x, y = np.where(hidden, objects["x"], x), np.where(hidden, objects["y"], y)
    new = ~hidden | is_apart(x, y, x[~hidden], y[~hidden], fwhm)
    objects, hidden, x, y = objects[new], hidden[new], x[new], y[new]
    first = first_of_star(x, y, fwhm)
    stars, pieces = np.unique(first, return_counts=True)
    objects, x, y = objects[stars], x[stars], y[stars]
    blended = (objects["flag"] & sep.OBJ_MERGED > 0) | hidden[stars]
    for name in ("a", "b"):  # a piece's axes are not the star's
        objects[name][pieces > 1] = fwhm / SIGMA_TO_FWHM
    # Pieces of one star, or the outskirts of smoothed ones, may have touched, and no other star's light.
    blended &= _has_neighbour(x, y, BLEND_REACH * fwhm) | ~(wide | (pieces > 1))
    flux, error, _ = sep.sum_circle(sky.image, x, y, APERTURE_FWHM * fwhm, err=sky.noise, mask=sky.mask)
    shapes = measure_shapes(sky.image, x, y, fwhm, sky.mask)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = _like_stars(objects, shapes, flux / error, blended) & ~_at_edge(x, y, CUT_FWHM * fwhm, sky.blank)
        kept &= ~(prominence(sky.image, sky.noise, sky.mask, x, y, fwhm) <= MINIMUM_PROMINENCE)
    sources = np.zeros(len(objects), SOURCE_DTYPE)
    sources["x"], sources["y"], sources["flux"], sources["flux_error"] = x, y, flux, error
    sources["fwhm"] = half_flux_diameters(sky.image, x, y, fwhm, sky.mask) if wide else shapes.fwhm
    sources["ellipticity"] = shapes.ellipticity
    for name in ("a", "b", "theta"):
        sources[name] = objects[name]
    sources["flag"][blended] |= int(Flag.BLENDED)
    sources["flag"][_at_edge(x, y, EDGE_FWHM * fwhm, sky.blank)] |= int(Flag.EDGE)
    sources = sources[kept]
    return sources[np.argsort(-sources["flux"], kind="stable")]


def _centres(
    objects: NDArray[Any], sky: _Sky, fwhm: float, wide: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if wide:
        x, y = centre_wide(sky.image, objects["x"], objects["y"], fwhm, sky.mask)
    else:
        window = max(fwhm, NARROWEST_WINDOW) / SIGMA_TO_FWHM
        x, y, _ = sep.winpos(sky.image, objects["x"], objects["y"], window, mask=sky.mask, subpix=0)
    # The window may walk to a brighter neighbour: keep the detection's own centroid there.
    off_x: NDArray[np.float64] = x - objects["x"]
    off_y: NDArray[np.float64] = y - objects["y"]
    walked = ~(np.hypot(off_x, off_y) <= MAXIMUM_WALK * fwhm)
    return np.where(walked, objects["x"], x), np.where(walked, objects["y"], y)


def _has_neighbour(x: NDArray[np.float64], y: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    xy = np.column_stack([x, y])
    nearest, _ = tree_of(xy).query(xy, k=[2])  # type: ignore[no-untyped-call]  # the first is the source itself
    return np.asarray(nearest[:, 0] < distance)


def _at_edge(
    x: NDArray[np.float64], y: NDArray[np.float64], distance: float, blank: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    # sep calls an aperture truncated only when it is a pixel beyond the border.
    last_y, last_x = blank.shape[0] - 0.5, blank.shape[1] - 0.5
    beyond = (np.minimum(x, y) < distance - 0.5) | (x + distance > last_x) | (y + distance > last_y)
    _, _, missing = sep.sum_circle(blank.astype(np.float32), x, y, distance, mask=blank)
    return np.asarray(beyond | (missing & sep.APER_HASMASKED > 0))


def match_sources(known_xy: NDArray[np.float64], new_xy: NDArray[np.float64], tolerance: float) -> NDArray[np.intp]:
    """Index of the known source of each new one, −1 for none; one-to-one, nearest pairs first, by K-D trees.

    known_xy: float64[n, 2]; new_xy: float64[m, 2]; tolerance: in their unit. Returns int[m].
    """
    result = np.full(len(new_xy), -1, np.intp)
    if not len(known_xy) or not len(new_xy):
        return result
    pairs = tree_of(new_xy).sparse_distance_matrix(  # type: ignore[no-untyped-call]
        tree_of(known_xy), tolerance, output_type="ndarray"
    )
    pairs = np.sort(pairs, order=["v", "i", "j"])
    new, known = closest_pairs(pairs["i"], pairs["j"])
    result[new] = known
    return result
