"""What the noise of each light curve is made of."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.statistics import row_median

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ApertureNoise:
    """What is known of t frames in one aperture: float64[t] each, NaN where unknown.

    Attributes:
        gain: electrons per ADU.
        read_noise: electrons.
        dark: thermal electrons a pixel in the whole exposure.
        sky_rms: measured scatter of a sky pixel, ADU.
        pixels: whose noise is in a flux (see `pipeline.noise.noise_pixels`); float64[n, 1] where sources differ.
        flat: relative error of a star's flux that the flat's noise makes.
        scintillation: relative.
    """

    gain: Floats
    read_noise: Floats
    dark: Floats
    sky_rms: Floats
    pixels: Floats
    flat: Floats
    scintillation: Floats

    def of_sources(self, rows: slice) -> "ApertureNoise":
        """The same for some of the sources."""
        return self if self.pixels.ndim == 1 else replace(self, pixels=self.pixels[rows])


@dataclass(frozen=True)
class NoiseBudget:
    """Relative noise of a typical point of n light curves and its parts: float64[n] each, NaN where unknown.

    Each is the square root of the median variance over the good frames. ``total`` comes from the quoted errors, ``sky``
    is what the measured noise of a sky pixel holds beyond read noise and dark current (digitisation is in it).
    """

    total: Floats
    source: Floats
    sky: Floats
    read: Floats
    dark: Floats
    flat: Floats
    scintillation: Floats
    reference: Floats


def noise_budget(raw: LightCurves, relative: LightCurves, frames: ApertureNoise) -> NoiseBudget:
    """Take the quoted noise of each light curve apart.

    Args:
        raw: in ADU.
        relative: the same, as a relative calibration gave them.
        frames: the same t frames.
    """
    flux, error, relative_error = raw.flux, raw.error, relative.error
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse_square = np.where(flux > 0, flux**-2.0, np.nan)
        noise_electrons = np.sqrt(frames.pixels) / frames.gain
        read, dark = (noise_electrons * value for value in (frames.read_noise, np.sqrt(frames.dark)))
        known = np.nan_to_num(read) ** 2 + np.nan_to_num(dark) ** 2
        sky = np.maximum(frames.pixels * frames.sky_rms**2 - known, 0.0)
        own = np.square(error) * inverse_square * np.square(relative.flux)
        there = np.where(np.isfinite(inverse_square), 1.0, np.nan)
        variances = {
            "total": np.square(relative_error),
            "source": 1.0 / (flux * frames.gain),
            "sky": sky * inverse_square,
            "read": read**2 * inverse_square,
            "dark": dark**2 * inverse_square,
            "flat": frames.flat**2 * there,
            "scintillation": frames.scintillation**2 * there,
            "reference": np.maximum(np.square(relative_error) - own, 0.0),
        }
        return NoiseBudget(**{field.name: np.sqrt(row_median(variances[field.name])) for field in fields(NoiseBudget)})
