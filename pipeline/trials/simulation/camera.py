"""The camera: its fixed patterns, and how electrons become ADU."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.night_spec import ADC_MAX, NightSpec

DEAD_RESPONSE = 0.02  # of a dead column
HOT_PIXEL_MIN = 1.0  # electrons per second, of the coolest hot pixel
DUST_RADIUS = (5.0, 20.0)  # pixels
READOUT_ROWS = 128  # rows at a time: the wide integers of the Poisson draw stay small

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Detector:
    """Fixed patterns, each float32[ny, nx]: ``bias`` in ADU, ``dark`` in electrons per second, ``response`` about 1."""

    bias: Image
    dark: Image
    response: Image


def make_detector(spec: NightSpec, rng: np.random.Generator) -> Detector:
    """Draw the camera's patterns: bias columns, hot pixels, vignetting, dust, pixel response and dead columns."""
    ny, nx = spec.shape
    columns = rng.normal(0, spec.bias_structure, nx)
    bias = np.broadcast_to(spec.bias_level + columns, spec.shape).astype(np.float32)
    dark = np.full(spec.shape, spec.dark_current, dtype=np.float32)
    hot = rng.choice(ny * nx, round(spec.hot_pixel_fraction * ny * nx), replace=False)
    # Many warm pixels and a few very hot ones: uniform in the logarithm.
    hottest = max(spec.hot_pixel_max, HOT_PIXEL_MIN)
    dark.ravel()[hot] += np.exp(rng.uniform(np.log(HOT_PIXEL_MIN), np.log(hottest), hot.size))
    return Detector(bias, dark, _response(spec, rng))


def read_out(expected: Image, detector: Detector, spec: NightSpec, rng: np.random.Generator) -> NDArray[np.uint16]:
    """One exposure: Poisson noise of the expected electrons, full well, read noise, gain, bias, 16 bits.

    Args:
        expected: mean electrons, float32[ny, nx], not negative.
    """
    counts = np.empty(expected.shape, dtype=np.uint16)
    for first in range(0, expected.shape[0], READOUT_ROWS):
        rows = slice(first, first + READOUT_ROWS)
        electrons = np.minimum(rng.poisson(expected[rows].astype(np.float64)), spec.full_well).astype(np.float32)
        electrons += rng.standard_normal(electrons.shape, dtype=np.float32) * np.float32(spec.read_noise)
        electrons /= np.float32(spec.gain)
        electrons += detector.bias[rows]
        counts[rows] = np.clip(np.rint(electrons), 0, ADC_MAX)
    return counts


def _response(spec: NightSpec, rng: np.random.Generator) -> Image:
    ny, nx = spec.shape
    y, x = np.linspace(-1, 1, ny)[:, None] ** 2, np.linspace(-1, 1, nx) ** 2
    response = (1 - spec.vignetting * (x + y) / 2).astype(np.float32)
    response *= 1 + np.float32(spec.pixel_response_rms) * rng.standard_normal(spec.shape, dtype=np.float32)
    for _ in range(spec.n_dust):
        _add_dust(response, rng.uniform(*DUST_RADIUS), rng.uniform(0, nx), rng.uniform(0, ny), spec.dust_depth)
    for column in rng.choice(nx, min(spec.n_dead_columns, nx), replace=False):
        # Charge is lost on its way to the register: the column is dead from one row to the end.
        response[int(rng.integers(0, ny // 2)) :, column] *= DEAD_RESPONSE
    return np.clip(response, 0, None, out=response)


def _add_dust(response: Image, radius: float, x: float, y: float, depth: float) -> None:
    """A ring of shadow, as a grain far from focus casts behind an obstructed mirror."""
    ny, nx = response.shape
    reach = int(2 * radius)
    rows = slice(max(int(y) - reach, 0), min(int(y) + reach, ny))
    columns = slice(max(int(x) - reach, 0), min(int(x) + reach, nx))
    yy, xx = np.ogrid[rows, columns]
    distance = np.hypot(yy - y, xx - x)
    response[rows, columns] *= 1 - depth * np.exp(-0.5 * ((distance - radius) / (radius / 4)) ** 2)
