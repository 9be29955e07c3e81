"""A night of known zero points: stars with Gaia's magnitudes, a filter, a sky, and a camera's noise."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.zero_points import Places, ZeroPoints, fit_zero_points
from pipeline.zero_points.terms import field_terms

GAIN, SKY_NOISE_E = 1.5, 60.0  # electrons per ADU; of an aperture
ZERO_POINT = 24.0  # mag of 1 ADU in the exposure under a clear sky
REFERENCE_COLOUR = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What a night is made with."""

    stars: int = 200
    frames: int = 60
    colour_term: float = 0.0
    gradient: tuple[float, ...] = (0.0,) * 5  # mag, of u, v, u², uv, v²
    own_scatter: float = 0.004  # mag: what Gaia and the flat field leave of each star on all frames
    flicker: float = 0.001  # mag: of each star from frame to frame beside its photon noise
    extinction: float = 0.0  # mag from the first frame to the last
    brightest: float = 11.0
    faintest: float = 17.0
    colour_spread: float = 0.45
    seed: int = 1


@dataclass
class Night:
    """Arrays as the step gives them; ``true_mag`` is what a perfect calibration would give each star and frame."""

    truth: Truth
    g_mag: Floats  # [n], as Gaia has it
    places: Places
    zero_point: Floats  # [t]
    field: Floats  # [n, t], mag
    true_mag: Floats  # [n]
    flux: Floats  # [n, t]
    error: Floats
    usable: NDArray[np.bool_]
    good: NDArray[np.bool_]

    def fit(self, calibrators: int | None = None) -> ZeroPoints:
        """From the first so many stars, or from all; the others are wanted too."""
        few = slice(calibrators)
        places = Places(self.places.u[few], self.places.v[few], self.places.colour[few])
        data = self.flux[few], self.error[few], self.usable[few]
        return fit_zero_points(*data, self.good, self.g_mag[few], places, self.places)

    def magnitudes(self, found: ZeroPoints) -> tuple[Floats, Floats]:
        """What view `light_curve` shows: mag and mag_error, [n, t]."""
        terms = field_terms(self.places.u, self.places.v)
        with np.errstate(invalid="ignore", divide="ignore"):
            mag = (
                found.zero_point
                - 2.5 * np.log10(self.flux)
                + found.colour_term * (self.places.colour - found.colour_reference)[:, None]
                + terms @ found.field.T
            )
            error = np.hypot(1.0857362 * self.error / self.flux, found.error)
        return mag, error


def make(truth: Truth, clouds: Floats | None = None, moving: Floats | None = None) -> Night:
    """A night; clouds: float64[t], mag; moving: float64[t, 5], mag, field terms of each frame."""
    rng = np.random.default_rng(truth.seed)
    n, t = truth.stars, truth.frames
    # Star counts grow by 0.3 dex a magnitude.
    share = rng.uniform(0.0, 1.0, n)
    low, high = (10.0 ** (0.3 * limit) for limit in (truth.brightest, truth.faintest))
    mag = np.log10(low + share * (high - low)) / 0.3
    u, v = rng.uniform(-1.0, 1.0, n), rng.uniform(-0.7, 0.7, n)
    colour = REFERENCE_COLOUR + truth.colour_spread * rng.standard_normal(n)
    zero_point = ZERO_POINT - truth.extinction * np.linspace(0.0, 1.0, t) - (0.0 if clouds is None else clouds)
    terms = field_terms(u, v)
    field = (terms @ np.array(truth.gradient))[:, None] + (0.0 if moving is None else terms @ moving.T)
    own = truth.own_scatter * rng.standard_normal(n)
    instrumental = mag[:, None] - zero_point - truth.colour_term * (colour - REFERENCE_COLOUR)[:, None] - field
    electrons = GAIN * 10.0 ** (-0.4 * (instrumental + truth.flicker * rng.standard_normal((n, t))))
    noise = np.sqrt(electrons + SKY_NOISE_E**2)
    electrons = electrons + noise * rng.standard_normal((n, t))
    quoted = np.sqrt(np.maximum(electrons, 0.0) + SKY_NOISE_E**2)
    return Night(
        truth=truth,
        g_mag=mag + own,
        places=Places(u, v, colour),
        zero_point=zero_point,
        field=np.broadcast_to(field, (n, t)),
        true_mag=mag,
        flux=electrons / GAIN,
        error=quoted / GAIN,
        usable=electrons > 0,
        good=np.ones(t, dtype=bool),
    )


def level_error(night: Night, found: ZeroPoints) -> Floats:
    """How far the magnitudes of the night's stars are off, mean over the stars: float64[t], mag."""
    terms = field_terms(night.places.u, night.places.v)
    colour = (night.places.colour - found.colour_reference)[:, None]
    given = found.zero_point + found.colour_term * colour + terms @ found.field.T
    right = night.zero_point + night.truth.colour_term * (night.places.colour - REFERENCE_COLOUR)[:, None] + night.field
    return np.asarray((given - right).mean(axis=0))


def with_seed(truth: Truth, seed: int) -> Truth:
    return replace(truth, seed=seed)
