"""Images of known stars: Gaussians integrated over pixels, with photon noise of stars and sky."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from pipeline.frame.stars import STAR_DTYPE

FWHM_TO_SIGMA = 1 / 2.354820045


@dataclass(frozen=True)
class StarField:
    """float32[ny, nx] without sky, its true noise of a sky pixel, and the true stars."""

    image: NDArray[np.float32]
    rms: float
    xy: NDArray[np.float64]
    flux: NDArray[np.float64]


def noiseless(
    shape: tuple[int, int], xy: NDArray[np.float64], flux: NDArray[np.float64], fwhm: float, ratio: float = 1.0
) -> NDArray[np.float64]:
    """Sum of Gaussians with ``fwhm`` along y and ``ratio * fwhm`` along x."""
    image = np.zeros(shape)
    span = np.arange(-int(np.ceil(4 * fwhm * ratio)) - 2, int(np.ceil(4 * fwhm * ratio)) + 3)
    for (x, y), total in zip(xy, flux, strict=True):
        columns, rows = round(x) + span, round(y) + span
        profile_x, profile_y = _profile(columns - x, fwhm * ratio), _profile(rows - y, fwhm)
        in_x, in_y = (columns >= 0) & (columns < shape[1]), (rows >= 0) & (rows < shape[0])
        image[np.ix_(rows[in_y], columns[in_x])] += total * np.outer(profile_y[in_y], profile_x[in_x])
    return image


def _profile(distance: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    scale = np.sqrt(2) * fwhm * FWHM_TO_SIGMA
    return np.asarray(0.5 * (erf((distance + 0.5) / scale) - erf((distance - 0.5) / scale)))


def make_field(
    rng: np.random.Generator,
    shape: tuple[int, int] = (256, 256),
    *,
    stars: int = 60,
    xy: NDArray[np.float64] | None = None,
    flux: NDArray[np.float64] | None = None,
    fwhm: float = 2.5,
    sky: float = 100.0,
    ratio: float = 1.0,
) -> StarField:
    """A field of given or random stars, the latter away from the border, under a sky that is taken off again."""
    if xy is None:
        xy = rng.uniform(0.06, 0.94, (stars, 2)) * (shape[1], shape[0])
    if flux is None:
        flux = 10 ** rng.uniform(3.3, 5.0, len(xy))
    image = rng.poisson(noiseless(shape, xy, flux, fwhm, ratio) + sky) - sky
    return StarField(image.astype(np.float32), float(np.sqrt(sky)), xy, flux)


def star_list(xy: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[Any]:
    """STAR_DTYPE[n] of positions float64[n, 2] and fluxes."""
    stars = np.zeros(len(xy), STAR_DTYPE)
    stars["x"], stars["y"] = np.asarray(xy).reshape(-1, 2).T
    stars["flux"], stars["peak"], stars["fwhm"] = flux, np.asarray(flux) / 5, 2.5
    return stars
