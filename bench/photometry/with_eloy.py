"""eloy as its full pipeline's tutorial shows it, with its centroids by photutils (its network is another package's)."""

import numpy as np
from astropy.io import fits
from eloy import alignment, calibration, centroid, detection, flux, photometry, psf, utils
from numpy.typing import NDArray
from skimage.transform import AffineTransform

from bench.photometry.light_curves import Floats, LightCurves, RawFluxes
from bench.photometry.night import Night

N_STARS_ALIGN = 12
RADII_FWHM = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
ANNULUS_FWHM = (5.0, 8.0)
DETECTION_SIGMA = 5.0
OPENING_PX = 3  # the default, 5, keeps only the brightest stars of this seeing
PSF_STARS = 50
N_STARS = 200  # the tutorial's
MOST_TARGETS = 60  # of one magnitude
CENTROID_PX = 9  # the default, 21, runs away to neighbours


def run(night: Night) -> RawFluxes:
    """Fluxes in circles of each frame's own FWHM, at centroids; stars outside of a frame are NaN."""
    bias = calibration.master_bias(files=night.calibration_frames("bias"))
    dark = calibration.master_dark(bias=bias, files=night.calibration_frames("dark"))
    flat = calibration.master_flat(bias=bias, dark=dark, files=night.calibration_frames("flat"))
    paths = night.light_frames()
    middle = len(paths) // 2

    def reduced(path: object) -> tuple[Floats, Floats, float]:
        header, data = fits.getheader(path), fits.getdata(path)
        image = calibration.calibrate(data, header["EXPTIME"], dark, flat, bias)
        regions = detection.stars_detection(image, threshold=DETECTION_SIGMA, opening=OPENING_PX)
        found = np.array([(region.centroid[1], region.centroid[0]) for region in regions])
        return image, found, _fwhm(image, found)

    _, reference, _ = reduced(paths[middle])
    asterisms = alignment.twirl_reference(reference[:N_STARS_ALIGN])
    stars = night.stars_of(middle, reference)
    values = np.full((night.truth.stars.id.size, len(paths), len(RADII_FWHM)), np.nan)
    for epoch, path in enumerate(paths):
        image, found, fwhm = reduced(path)
        matrix = alignment.rotation_matrix(found[:N_STARS_ALIGN], reference[:N_STARS_ALIGN], asterisms)
        if matrix is None:
            continue
        # The matrix carries the reference to the frame, whatever the tutorial's `.inverse` was written for.
        expected = AffineTransform(matrix)(reference)
        ny, nx = image.shape
        room = np.minimum(expected, np.array([nx - 1, ny - 1]) - expected).min(axis=1)
        chosen = (stars >= 0) & (room > RADII_FWHM[-1] * fwhm)
        xy = centroid.photutils_centroid(image, expected[chosen], cutout=CENTROID_PX)
        radii = np.array(RADII_FWHM) * fwhm
        sums = photometry.aperture_photometry(image, xy, radii)
        sky = photometry.annulus_sigma_clip_median(image, xy, *(factor * fwhm for factor in ANNULUS_FWHM))
        values[stars[chosen], epoch] = sums - sky[:, None] * np.pi * radii**2
    error = np.sqrt(np.maximum(values, 1.0) / night.truth.spec.gain)
    return RawFluxes("eloy", values, error, RADII_FWHM)


def _fwhm(image: Floats, found: Floats) -> float:
    cutouts = utils.cutout(image, found[:PSF_STARS], (50, 50))
    epsf = np.nanmedian(cutouts / np.nanmax(cutouts, (1, 2))[:, None, None], 0)
    shape = psf.fit_gaussian(epsf)
    return float(psf.gaussian_sigma_to_fwhm * np.mean([shape["sigma_x"], shape["sigma_y"]]))


def light_curves(raw: RawFluxes, night: Night) -> LightCurves:
    """`auto_diff` with each compared star as the target, among the brightest stars measured on every frame."""
    complete = np.flatnonzero(np.isfinite(raw.flux).all(axis=(1, 2)) & (raw.flux > 0).all(axis=(1, 2)))
    brightest = complete[np.argsort(-raw.flux[complete].mean(axis=(1, 2)))[:N_STARS]]
    relative = np.full(raw.flux.shape, np.nan)
    for target in _targets(night, complete):
        stars = np.concatenate([[target], brightest[brightest != target]])
        differential, _ = flux.auto_diff(np.moveaxis(raw.flux[stars], 2, 0), 0)  # aperture, star, epoch
        relative[target] = differential[:, 0].T
    return LightCurves("eloy", relative, raw.radii)


def _targets(night: Night, complete: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first stars of each magnitude: one target takes a fifth of a second."""
    stars = night.compared()[np.isin(night.compared(), complete)]
    magnitude = np.floor(night.truth.stars.mag[stars] - night.truth.spec.mag_min)
    return np.concatenate([stars[magnitude == m][:MOST_TARGETS] for m in np.unique(magnitude)])
