"""Relative light curves of a night with known noise, known variables and known systematics."""

import numpy as np
from numpy.typing import NDArray

from pipeline.detrend import Field
from pipeline.relative.constancy import varying_stars
from pipeline.statistics import row_median
from tests.unit.made_curves import curves

HOURS = np.linspace(0.0, 6.0, 180)
IN_TRANSIT = np.abs(HOURS - 3.0) < 1.0
TRANSIT_DEPTH, SINE_AMPLITUDE, SINE_HOURS = 0.015, 0.03, 4.0
STARS = 200


class DetrendNight:
    """200 stars of 1 to 12 mmag, six hours; ten bright ones vary: five transits of 1.5 %, five sinusoids of 3 %.

    ``systematics`` is the standard deviation that each of airmass, seeing and drift adds to a typical star. A star's
    share of each depends on its place, with a part of its own: ``own``, relative to the part of the place.
    """

    def __init__(self, seed: int, systematics: float, own: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        self.xy = rng.uniform(0.0, 2000.0, (STARS, 2))
        self.brightness = 10 ** rng.uniform(4.0, 6.0, STARS)
        self.noise = np.sqrt(1.0 / self.brightness + (100.0 / self.brightness) ** 2)
        self.vectors = [
            1.0 + 0.6 * ((HOURS - 2.0) / 4.0) ** 2,
            3.0 + np.cumsum(rng.normal(0.0, 0.06, HOURS.size)),
            np.cumsum(rng.normal(0.0, 0.3, HOURS.size)),
        ]
        x, y = ((self.xy - 1000.0) / 1000.0).T
        self.systematics = np.zeros((STARS, HOURS.size))
        for vector, place in zip(self.vectors, (x, y**2 - 0.3, 0.5 * x * y + 0.5 * y), strict=True):
            share = place + own * rng.normal(size=STARS)
            self.systematics += systematics * np.outer(share, (vector - vector.mean()) / vector.std())
        self.variable = np.zeros(STARS, dtype=bool)
        variables = np.argsort(-self.brightness)[5:45:4]
        self.variable[variables] = True
        self.transits, self.sines = variables[::2], variables[1::2]
        self.signal = np.ones((STARS, HOURS.size))
        self.signal[self.transits] -= TRANSIT_DEPTH * IN_TRANSIT
        for number, star in enumerate(self.sines):
            self.signal[star] += SINE_AMPLITUDE * np.sin(2 * np.pi * HOURS / SINE_HOURS + number)
        self.white = self.noise[:, None] * rng.normal(size=self.signal.shape)
        self.flux = self.signal * (1.0 + self.systematics) + self.white
        self.error = np.repeat(self.noise[:, None], HOURS.size, axis=1)
        self.good = np.ones(HOURS.size, dtype=bool)

    def field(self, protected: NDArray[np.bool_] | None = None) -> Field:
        """As relative calibration would leave it."""
        level = row_median(self.flux[:, self.good])[:, None]
        flux, error = self.flux / level, self.error / level
        constant = ~varying_stars(curves(flux, error, good=self.good), self.brightness)
        none = np.zeros(STARS, dtype=bool)
        found = curves(flux, error, good=self.good, xy=self.xy)
        return Field(found, self.brightness, constant, none if protected is None else protected)

    def over_white(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation of the constant stars over that of their white noise alone; over the good epochs."""
        constant = ~self.variable
        white = self.white[np.ix_(constant, self.good)].std(axis=1)
        return np.asarray(np.nanstd(flux[np.ix_(constant, self.good)], axis=1) / white)

    def amplitudes(self, flux: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Depths of the transits and amplitudes of the sinusoids, over what was injected."""
        depth = [np.mean(flux[star, ~IN_TRANSIT]) - np.mean(flux[star, IN_TRANSIT]) for star in self.transits]
        angle = 2 * np.pi * HOURS / SINE_HOURS
        terms = np.column_stack([np.sin(angle), np.cos(angle), np.ones_like(angle)])
        found = np.linalg.lstsq(terms, flux[self.sines].T, rcond=None)[0]
        return np.array(depth) / TRANSIT_DEPTH, np.hypot(found[0], found[1]) / SINE_AMPLITUDE
