"""Detections of an image with masked pixels, which are filled in: by sep, or quickly for the stars of a frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.frame.masked_pixels import fill_holes_within
from pipeline.kernels.bright_objects import bright_objects
from pipeline.kernels.places import Places, marked_places

MINIMUM_AREA = 5  # pixels of a detection
SMOOTHING = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)  # applied by sep before detection
CORE_GOOD = 5  # of the 3×3 pixels about a detection's peak or centroid; with fewer it is made of what was filled in
HALO_FWHM = 1.5  # rms of the minor axis, above which a detection holds a halo; bright stars have 1 at most
HALO_PEAK = 10.0  # of the mean light of a pixel, above which it holds a star
OFF_CENTRE_FWHM = 0.5  # of a peak from its centroid, above which a detection is more than one star
OFF_CENTRE_PX = 1.25  # at least: the brightest pixel of a lone star is off by up to 0.7
LONG = 1.4  # longest over shortest axis; pairs 1.2 FWHM apart have 1.5
BRIGHT_PART, FEWEST_BRIGHT = 5, 20  # the brightest fifth tells how far off peaks are in this image
LIKE_PEAK, PLATEAU_PIXELS = 0.98, 6  # so many of the 3×3 pixels about a peak, so bright: it is saturated
PROMINENCE = 3.0  # noise of a smoothed pixel, of a star's summit over the saddle to a brighter one
BLEND_SHARE = 0.005  # of a blend's light that lies above that saddle
DETECTION_BUFFER = 300_000  # pixels above the threshold that sep holds at first; 1,000,000 cost 17 ms a frame more
DEBLEND_LIMIT = 4096  # sub-objects of one detection that sep holds at first
BUFFER_GROWTH = 8
BUFFER_ATTEMPTS = 3
INSEPARABLE = "detections cannot be separated ({}), expected stars on a flat sky: check the background of the image"

Floats = NDArray[np.float64]  # two columns of a table without it took mypy 10 s: it tries all pairs of types


def extract(
    image: NDArray[np.float32],
    threshold: float,
    *,
    noise: float | NDArray[np.float32],
    mask: NDArray[np.bool_] | None = None,
    kernel: NDArray[np.float32] = SMOOTHING,
    **options: Any,
) -> NDArray[Any]:
    """Detections on an image without sky (`sep.extract` on the smoothed image).

    sep can filter by a map of noise, but then tells blends apart from a level on that is ``1 / noise_left(kernel)``
    times its own threshold, 2.7 times for `SMOOTHING`. Stars of S/N 34 three FWHM from an equal one were so lost in one
    object too long for a star. Here the threshold is that of the smoothed image, and blends are told apart from it on.

    Masked pixels are filled in from their neighbours, and sep is not told of them. It takes their noise for infinite,
    the mean noise of a detection's pixels sets the level from which its blends are told apart, and so one masked pixel
    hid all the stars of the blend or the halo it lies in: three of 800 to 3000 sigma in the test.

    Args:
        image: float32[ny, nx], contiguous, native, sky subtracted; it and a map of noise are other ones meanwhile.
        threshold: with one noise, of each pixel of a detection in units of that noise; with a map, the significance of
            each smoothed pixel: 2.7 times as deep for the same number.
        noise: of a pixel; or float32[ny, nx], anything where masked.
        mask: bool[ny, nx], pixels that count as unknown; a detection with most of its core on them is left out.
        kernel: float32[k, l], of the smoothing, in any unit.
        options: those of sep.extract.

    Returns:
        sep's record array.

    Raises:
        UnusableDataError: too much is above the threshold, whatever sep's limits.
    """
    if isinstance(noise, np.ndarray):
        threshold *= noise_left(kernel)
    options = {"minarea": MINIMUM_AREA, "filter_kernel": kernel, "filter_type": "conv", **options}
    if mask is None:
        return _outgrowing(image, threshold, err=noise, **options)
    with _filled_in(image, noise, mask, marked_places(mask)):
        objects = _outgrowing(image, threshold, err=noise, **options)
    return objects[_has_core(objects, mask)]


def find_objects(
    image: NDArray[np.float32], threshold: float, *, noise: float, masked: Places, min_area: int
) -> NDArray[Any]:
    """What `extract` finds with `SMOOTHING` and one noise, in half of the time; blends are told apart at any level.

    Positions, fluxes and moments of what is alone are the same. A star of a blend is what stands out in the smoothed
    image by three times its noise, and holds half a percent of the blend's light above the saddle to a brighter one.

    Args:
        image: float32[ny, nx], contiguous, native, sky subtracted; another one meanwhile.
        threshold: of each smoothed pixel, in units of the noise of a pixel.
        noise: of a pixel.
        masked: int64[n], flat indices of the pixels that count as unknown, as for `extract`.
        min_area: pixels of a detection.

    Returns:
        `pipeline.kernels.bright_objects.OBJECT_DTYPE`.

    Raises:
        UnusableDataError: too much is above the threshold.
    """

    def objects() -> NDArray[Any]:
        prominence = PROMINENCE * noise * noise_left(SMOOTHING)
        try:
            return bright_objects(image, threshold * noise, least=min_area, prominence=prominence, share=BLEND_SHARE)
        except OverflowError as error:
            raise UnusableDataError(INSEPARABLE.format(error)) from error

    if not masked.size:
        return objects()
    mask = np.zeros(image.shape, np.bool_)
    mask.reshape(-1)[masked] = True
    with _filled_in(image, noise, mask, masked):
        found = objects()
    return found[_has_core(found, mask)]


@contextmanager
def _filled_in(
    image: NDArray[np.float32],
    noise: float | NDArray[np.float32],
    mask: NDArray[np.bool_],
    where: Places,
) -> Iterator[None]:
    """The image without holes, with the usual noise in them, until it is done; copies would take their memory again."""
    kept = [(array.reshape(-1), array.reshape(-1)[where]) for array in (image, noise) if isinstance(array, np.ndarray)]
    try:
        if isinstance(noise, np.ndarray) and where.size < noise.size:
            noise.reshape(-1)[where] = np.median(noise[~mask], overwrite_input=True)
        fill_holes_within(image, mask, where)
        yield
    finally:
        for flat, values in kept:
            flat[where] = values


def start_at_peaks(objects: NDArray[Any], fwhm: float) -> None:
    """Set x, y IN PLACE to the peak, where a detection is far wider than stars of this FWHM (px) and its peak is off.

    sep deals out the light of a halo that is no detection of its own to the stars on it, and the centroid of one that
    got it all lay 10 px off the star: on 7 of 20 simulated halos one of three stars above 800 sigma was so lost. Of
    others the centroid is better: the brightest pixel of a faint star may be on the flank of a bright one.
    """
    halo = (objects["b"] > HALO_FWHM * fwhm) & (objects["cpeak"] * objects["npix"] > HALO_PEAK * objects["flux"])
    off_x: Floats = objects["x"] - objects["xcpeak"]
    off_y: Floats = objects["y"] - objects["ycpeak"]
    halo &= np.hypot(off_x, off_y) > fwhm
    for name in "xy":
        objects[name][halo] = objects[name + "cpeak"][halo]


def start_at_stars(objects: NDArray[Any], image: NDArray[np.float32], fwhm: float) -> NDArray[np.bool_]:
    """Set x, y IN PLACE to the peak, where a detection is more than one star and its centroid lies between them.

    Stars that the smoothing does not tell apart are one detection, and so is a star on a halo. A peak that has a
    brighter pixel beside it is no star but the flank of another; there the centroid is better. By what most bright
    stars have, as coma, none is off.

    Args:
        objects: of `extract`, of stars in focus.
        image: float32[ny, nx], that they were found on.
        fwhm: of stars, px.

    Returns:
        bool[n], those that were set to their peak.
    """
    if not len(objects):
        return np.zeros(0, np.bool_)
    column, row = objects["xpeak"].astype(np.int64), objects["ypeak"].astype(np.int64)
    off_x: Floats = column - objects["x"]
    off_y: Floats = row - objects["y"]
    off = np.column_stack([off_x, off_y])
    bright = np.argsort(-objects["peak"])[: max(len(objects) // BRIGHT_PART, FEWEST_BRIGHT)]
    off -= np.median(off[bright], axis=0)
    around = pixels_around(image, column, row)
    is_peak = objects["peak"] >= around.max(axis=0)
    # Any pixel of a saturated star may be its brightest.
    is_peak &= np.count_nonzero(around > LIKE_PEAK * objects["peak"], axis=0) < PLATEAU_PIXELS
    is_peak &= objects["a"] > LONG * objects["b"]
    several = is_peak & (np.hypot(*off.T) > max(OFF_CENTRE_FWHM * fwhm, OFF_CENTRE_PX))
    objects["x"][several], objects["y"][several] = column[several], row[several]
    return np.asarray(several, np.bool_)


def pixels_around(image: NDArray[np.float32], column: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.float32]:
    """The 3×3 pixels about each of these, float32[9, n]; at the border those of the border again."""
    ny, nx = image.shape
    span = (-1, 0, 1)
    around = [image[np.clip(row + dy, 0, ny - 1), np.clip(column + dx, 0, nx - 1)] for dy in span for dx in span]
    return np.asarray(around, np.float32)


def noise_left(kernel: NDArray[np.float32]) -> float:
    """Noise of a smoothed pixel over that of a pixel, where all have the same; sep scales a kernel's sizes to sum 1."""
    return float(np.sqrt(np.square(kernel).sum()) / np.abs(kernel).sum())


def usual_noise(noise: float | NDArray[np.float32], mask: NDArray[np.bool_]) -> float | NDArray[np.float32]:
    """The noise with that of the typical pixel where it is unknown."""
    if not isinstance(noise, np.ndarray) or mask.all():
        return noise
    usual = np.median(noise[~mask], overwrite_input=True)
    return np.where(mask, usual, noise).astype(np.float32, copy=False)


def _outgrowing(image: NDArray[np.float32], threshold: float, **options: Any) -> NDArray[Any]:
    """``sep.extract`` that outgrows sep's internal limits instead of failing on a crowded or wide-spread image."""
    buffer, limit = DETECTION_BUFFER, DEBLEND_LIMIT
    message = ""
    for _ in range(BUFFER_ATTEMPTS):
        sep.set_extract_pixstack(buffer)
        sep.set_sub_object_limit(limit)
        try:
            objects: NDArray[Any] = sep.extract(image, threshold, **options)
        except Exception as error:  # sep raises bare Exception for each of its limits
            message = str(error)
            buffer, limit = buffer * BUFFER_GROWTH, limit * BUFFER_GROWTH
        else:
            return objects
    raise UnusableDataError(INSEPARABLE.format(message))


def _has_core(objects: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether most pixels about a detection's peak, and about its centroid, are its own."""
    ny, nx = mask.shape
    good = np.zeros((2, len(objects)), np.int64)
    column, row = (np.rint([objects[f"{axis}peak"], objects[axis]]).astype(np.int64) for axis in "xy")
    for dy, dx in ((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
        good += ~mask[np.clip(row + dy, 0, ny - 1), np.clip(column + dx, 0, nx - 1)]
    return np.asarray((good >= CORE_GOOD).all(axis=0))
