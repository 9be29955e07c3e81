"""eloy as its full pipeline's tutorial goes, with its centroids by photutils (its network is another package's).

Of `auto_diff` the weights of the brightest stars are taken, once for each circle, and all stars divided with them:
one target after the other, as the tutorial has it, takes a fifth of a second for each.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from eloy import alignment, calibration, centroid, detection, flux, photometry
from skimage.transform import AffineTransform

from bench.peers.scope import Floats, Scope, Steps, leave

N_STARS_ALIGN = 12
DETECTION_SIGMA = 5.0
OPENING_PX = 3  # the default, 5, keeps only the brightest stars of this seeing
N_STARS = 200  # the tutorial's
CENTROID_PX = 9  # the default, 21, runs away to neighbours


def main(scope: Scope, work: Path) -> None:
    steps = Steps()
    with steps.timed("masters"):
        bias = calibration.master_bias(files=scope.bias)
        dark = calibration.master_dark(bias=bias, files=scope.dark)
        flat = calibration.master_flat(bias=bias, dark=dark, files=scope.flat)
    reference, asterisms = None, None
    values = np.full(scope.shape, np.nan)
    for frame, path in enumerate(scope.lights):
        with steps.timed("calibrate"):
            header, data = fits.getheader(path), fits.getdata(path)
            image = calibration.calibrate(data, header["EXPTIME"], dark, flat, bias)
        with steps.timed("align"):
            regions = detection.stars_detection(image, threshold=DETECTION_SIGMA, opening=OPENING_PX)
            found = np.array([(region.centroid[1], region.centroid[0]) for region in regions])[:N_STARS_ALIGN]
            if reference is None:
                reference, asterisms = found, alignment.twirl_reference(found)
            matrix = alignment.rotation_matrix(found, reference, asterisms)
        if matrix is None:
            continue
        with steps.timed("photometry"):
            # The matrix carries the reference to the frame, whatever the tutorial's `.inverse` was written for.
            xy = centroid.photutils_centroid(image, AffineTransform(matrix)(np.array(scope.xy)), cutout=CENTROID_PX)
            sums = photometry.aperture_photometry(image, xy, np.array(scope.radii))
            sky = photometry.annulus_sigma_clip_median(image, xy, *scope.annulus)
            values[:, frame] = sums - sky[:, None] * np.pi * np.array(scope.radii) ** 2
    with steps.timed("divide"):
        relative = np.stack([differential(values[:, :, k]) for k in range(len(scope.radii))], axis=2)
    leave(work, relative, steps)


def differential(fluxes: Floats) -> Floats:
    """Of all stars, float64[star, frame]; NaN where a star lacks a frame."""
    complete = np.flatnonzero((fluxes > 0).all(axis=1))
    brightest = complete[np.argsort(-fluxes[complete].mean(axis=1))[:N_STARS]]
    _, weights = flux.auto_diff(fluxes[brightest])
    all_weights = np.zeros(len(fluxes))
    all_weights[brightest] = np.ravel(weights)
    relative = np.full(fluxes.shape, np.nan)
    relative[complete] = flux.diff(fluxes[complete], all_weights[complete])
    return relative


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Scope.read(Path(sys.argv[1])), Path(sys.argv[2]))
