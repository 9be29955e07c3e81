"""SExtractor with its default configuration, and around it what a script has: numpy, astropy, and a tree of places.

Frames are calibrated by means and medians, stars matched by the median shift of the brightest, and divided by the
mean of the reference stars.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.spatial import KDTree

from bench.peers.scope import Floats, Scope, Steps, leave
from bench.source_extractor import extract

COLUMNS = ("X_IMAGE", "Y_IMAGE", "FLUX_APER({n})", "FLUXERR_APER({n})")
LEAST_RESPONSE = 0.1  # of dead columns
BRIGHTEST = 100  # that tell the shift
FARTHEST_PX = 150.0  # of a frame from the first
MATCH_PX = 3.0


def read(path: str) -> Floats:
    return np.asarray(fits.getdata(path), dtype=np.float32)


def main(scope: Scope, work: Path) -> None:
    steps = Steps()
    with steps.timed("masters"):
        bias = np.mean([read(path) for path in scope.bias], axis=0)
        dark = np.mean([read(path) for path in scope.dark], axis=0) - bias
        flats = [read(path) - bias for path in scope.flat]
        flat = np.maximum(np.median([image / np.median(image) for image in flats], axis=0), LEAST_RESPONSE)
    parameters, image, catalogue = work / "columns.param", work / "image.fits", work / "catalogue.fits"
    parameters.write_text("\n".join(COLUMNS).format(n=len(scope.radii)) + "\n")
    circles = ",".join(f"{2 * radius:.3f}" for radius in scope.radii)
    options = {"PHOT_APERTURES": circles, "GAIN": scope.gain}
    values = np.full(scope.shape, np.nan)
    stars = np.array(scope.xy)
    for frame, path in enumerate(scope.lights):
        with steps.timed("calibrate"):
            calibrated = ((read(path) - bias - dark) / flat).astype(np.float32)
            fits.writeto(image, calibrated, overwrite=True)
        with steps.timed("photometry"):
            extract(image, parameters, catalogue, options)
            table = fits.getdata(catalogue)
        with steps.timed("match"):
            xy = np.column_stack([table["X_IMAGE"], table["Y_IMAGE"]]) - 1  # FITS counts pixels from 1
            brightest = np.argsort(-table["FLUX_APER"][:, 0])[:BRIGHTEST]
            shift = common_shift(stars[scope.references], xy[brightest])
            distance, near = KDTree(xy).query(stars + shift)
            values[distance < MATCH_PX, frame] = table["FLUX_APER"][near[distance < MATCH_PX]]
    with steps.timed("divide"):
        relative = values / np.nanmean(values[scope.references], axis=0)
    leave(work, relative, steps)


def common_shift(stars: Floats, found: Floats) -> Floats:
    """Shift that most pairs of stars and detections agree about, float64[2]."""
    apart = (found[None] - stars[:, None]).reshape(-1, 2)
    apart = apart[np.abs(apart).max(axis=1) < FARTHEST_PX]
    neighbours = KDTree(apart).query_ball_point(apart, MATCH_PX)
    return np.asarray(np.median(apart[max(neighbours, key=len)], axis=0))


if __name__ == "__main__":
    main(Scope.read(Path(sys.argv[1])), Path(sys.argv[2]))
