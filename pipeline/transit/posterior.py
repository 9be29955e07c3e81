"""Posterior of a single transit over a quadratic trend whose coefficients are integrated out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.transit.shape import hidden_share, separation
from pipeline.units import MAG_PER_LN

Floats = NDArray[np.float64]

PARAMETERS = ("mid_time", "ln_duration", "radius_ratio", "impact", "limb_darkening", "ln_jitter")
TREND_TERMS = 3  # a quadratic
TREND_PRIOR_MAG = 1.0  # standard deviation of a coefficient; a night bends less
JITTER_GRID = 400


@dataclass(frozen=True)
class Posterior:
    """Magnitudes of one light curve, with the priors.

    All six parameters have uniform priors. They are sampled as standard normal variates q, ``x = low + (high - low)
    Phi(q)``: the prior is a unit Gaussian without edges, and the evidence its mean likelihood.

    Attributes:
        time: float64[t], from a reference near the middle.
        magnitude, error: float64[t], median 0; one standard deviation.
        low, high: float64[6], limits of PARAMETERS.
        red_noise: β; the likelihood is raised to the power 1/β², as if only each β²-th point were independent.
    """

    time: Floats
    magnitude: Floats
    error: Floats
    low: Floats
    high: Floats
    red_noise: float = 1.0

    @property
    def trend_columns(self) -> Floats:
        """float64[t, 3]: powers of the time scaled to ±1."""
        return np.vander(self.time / np.abs(self.time).max(), TREND_TERMS, increasing=True)

    def to_parameters(self, q: Floats) -> Floats:
        """Physical parameters float64[w, 6] of q float64[w, 6]."""
        from scipy.special import ndtr

        return np.asarray(self.low + (self.high - self.low) * ndtr(q))

    def from_parameters(self, x: Floats, margin: float = 0.01) -> Floats:
        """q of parameters float64[..., 6]; what lies at or beyond a limit is moved in by a margin of the range."""
        from scipy.special import ndtri

        return np.asarray(ndtri(np.clip((x - self.low) / (self.high - self.low), margin, 1.0 - margin)))

    def dimming(self, x: Floats, time: Floats | None = None) -> Floats:
        """Magnitudes lost in the transit at each time, float64[w, t], of parameters float64[w, 6]."""
        mid, ln_duration, ratio, impact, limb = (x[:, i, None] for i in range(5))
        at = (self.time if time is None else time)[None]
        z = separation(at, mid, np.exp(ln_duration), ratio, impact)
        return np.asarray(-MAG_PER_LN * np.log1p(-hidden_share(z, ratio, limb)))

    def log_likelihood(self, x: Floats) -> Floats:
        """Of parameters float64[w, 6], the trend integrated out: float64[w]."""
        return self._marginal(self.magnitude - self.dimming(x), np.exp(x[:, 5]))[0]

    def log_probability(self, q: Floats) -> Floats:
        """Unnormalised posterior of q float64[w, 6]: float64[w]."""
        return np.asarray(self.log_likelihood(self.to_parameters(q)) - 0.5 * np.sum(q**2, axis=1))

    def trend(self, x: Floats) -> Floats:
        """Most probable coefficients of the trend for each of parameters float64[w, 6]: float64[w, 3], mag."""
        return self._marginal(self.magnitude - self.dimming(x), np.exp(x[:, 5]))[1]

    def log_evidence_without_transit(self) -> float:
        """Of the trend and the jitter alone, the latter integrated on a grid."""
        from scipy.special import logsumexp

        ln_jitter = np.linspace(self.low[5], self.high[5], JITTER_GRID)
        flat = np.broadcast_to(self.magnitude, (JITTER_GRID, self.magnitude.size))
        likelihood = self._marginal(flat, np.exp(ln_jitter))[0]
        return float(logsumexp(likelihood) - np.log(JITTER_GRID))

    def _marginal(self, residual: Floats, jitter: Floats) -> tuple[Floats, Floats]:
        """``ln N(residual; 0, diag(error² + jitter²) + s² columns columnsᵀ)`` by Woodbury's identity, and coefficients.

        Args:
            residual: float64[w, t].
            jitter: float64[w].

        Returns:
            float64[w] and float64[w, 3].
        """
        columns = self.trend_columns
        variance = self.error**2 + jitter[:, None] ** 2
        independent = 1.0 / self.red_noise**2
        weight = independent / variance
        outer = columns[:, :, None] * columns[:, None, :]
        precision = np.tensordot(weight, outer, axes=1) + np.eye(TREND_TERMS) / TREND_PRIOR_MAG**2
        projected = (weight * residual) @ columns
        coefficients = np.linalg.solve(precision, projected[:, :, None])[:, :, 0]
        chi2 = np.sum(weight * residual**2, axis=1) - np.sum(projected * coefficients, axis=1)
        volume = np.linalg.slogdet(precision * TREND_PRIOR_MAG**2)[1]
        volume += independent * np.sum(np.log(2.0 * np.pi * variance), axis=1)
        return np.asarray(-0.5 * (chi2 + volume)), np.asarray(coefficients)
