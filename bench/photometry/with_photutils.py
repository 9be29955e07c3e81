"""photutils as its guide shows it: DAOStarFinder, circles at known sky positions, the clipped median of an annulus."""

import numpy as np
from astropy.stats import SigmaClip, sigma_clipped_stats
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture, aperture_photometry
from photutils.detection import DAOStarFinder

from bench.photometry.light_curves import RawFluxes
from bench.photometry.masters import Calibration
from bench.photometry.night import Night

RADII_FWHM = (0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
ANNULUS_FWHM = (4.0, 6.0)
DETECTION_SIGMA = 5.0


def run(night: Night) -> RawFluxes:
    """Fluxes at the positions of the truth, as a perfect WCS would give them, of the stars it detects itself."""
    calibration, paths = Calibration(night), night.light_frames()
    middle = len(paths) // 2
    found = _detect(night, middle, calibration.frame(paths[middle]))
    flux, error = np.full((2, night.truth.stars.id.size, len(paths), len(RADII_FWHM)), np.nan)
    gain = night.truth.spec.gain
    for epoch, image in enumerate(map(calibration.frame, paths)):
        x, y = night.truth.positions(int(night.epochs[epoch]))
        ny, nx = image.shape
        stars = found[(x[found] > 0) & (x[found] < nx - 1) & (y[found] > 0) & (y[found] < ny - 1)]
        xy = np.column_stack([x, y])[stars]
        annulus = CircularAnnulus(xy, *(factor * night.fwhm for factor in ANNULUS_FWHM))
        sky = ApertureStats(image, annulus, sigma_clip=SigmaClip(3.0))
        for k, factor in enumerate(RADII_FWHM):
            aperture = CircularAperture(xy, factor * night.fwhm)
            total = np.asarray(aperture_photometry(image, aperture)["aperture_sum"])
            flux[stars, epoch, k] = total - sky.median * aperture.area
            variance = np.maximum(flux[stars, epoch, k], 0) / gain + aperture.area * np.square(sky.std)
            error[stars, epoch, k] = np.sqrt(variance)
    return RawFluxes("photutils", flux, error, RADII_FWHM)


def _detect(night: Night, epoch: int, image: np.ndarray) -> np.ndarray:
    _, median, std = sigma_clipped_stats(image, sigma=3.0)
    table = DAOStarFinder(threshold=DETECTION_SIGMA * std, fwhm=night.fwhm)(image - median)
    columns = ("x_centroid", "y_centroid") if "x_centroid" in table.colnames else ("xcentroid", "ycentroid")
    stars = night.stars_of(epoch, np.column_stack([np.asarray(table[name]) for name in columns]))
    return np.unique(stars[stars >= 0])
