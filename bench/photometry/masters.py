"""Calibrated frames for the tools that have no calibration of their own, as astropy's CCD guide makes them."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.stats import sigma_clip
from numpy.typing import NDArray

from bench.photometry.night import Night

CLIP_SIGMA = 5.0  # of the guide
LEAST_RESPONSE = np.float32(0.1)  # of dead columns, so that they are no infinities

Image = NDArray[np.float32]


class Calibration:
    """The masters of a night."""

    def __init__(self, night: Night) -> None:
        spec = night.truth.spec
        self.bias = combine([read(path) for path in night.calibration_frames("bias")])
        darks = [read(path) - self.bias for path in night.calibration_frames("dark")]
        self.dark = combine(darks)  # as long as the light frames
        share = np.float32(spec.flat_exposure_s / spec.exposure_s)
        flats = [read(path) - self.bias - self.dark * share for path in night.calibration_frames("flat")]
        self.flat = np.maximum(combine([image / np.median(image) for image in flats]), LEAST_RESPONSE)

    def frame(self, path: Path) -> Image:
        """(raw - bias - dark) / flat, float32[ny, nx], ADU, the sky still in it."""
        return np.asarray((read(path) - self.bias - self.dark) / self.flat)


def read(path: Path) -> Image:
    """Pixels of a file."""
    return np.asarray(fits.getdata(path), dtype=np.float32)


def combine(images: list[Image]) -> Image:
    """Mean without values far from the median, scaled by the median absolute deviation."""
    clipped = sigma_clip(np.stack(images), sigma=CLIP_SIGMA, axis=0, stdfunc="mad_std", maxiters=1, masked=False)
    return np.asarray(np.nanmean(clipped, axis=0), dtype=np.float32)
