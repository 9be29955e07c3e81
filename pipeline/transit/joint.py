"""Transits of one planet on several nights and in several filters at once: one orbit, a mid-time each night."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.transit import joint_priors as priors
from pipeline.transit.joint_priors import PlanetPrior
from pipeline.transit.red_likelihood import TREND_TERMS, RedLikelihood
from pipeline.transit.red_noise import red_noise_factor
from pipeline.transit.shape import hidden_share, orbit_duration, orbit_separation
from pipeline.transit.single import INTERVAL, JITTER_RANGE_MAG, Estimate
from pipeline.transit.trapezoid import MIN_POINTS, fit_trapezoid, spikes
from pipeline.units import MAG_PER_LN

Floats = NDArray[np.float64]

STEPS = 2000
BURN_IN_SHARE = 0.4
WALKERS_LEAST, WALKERS_PER_PARAMETER = 32, 3
THIN = 5
START_SPREAD = 0.1  # of the walkers, in standard deviations of the prior
START_IMPACT = 0.3
SHARED, OF_FILTER, OF_NIGHT = 3, 2, 3  # parameters: k, a, b; q and r of limb darkening; mid-time, jitter, red noise
MOST_RED = (
    2.0  # rms of red noise over the scatter of a point; uniform from 0 on (Gelman 2006, Bayesian Analysis 1, 515)
)
START_RED = 0.2
CURVE_SAMPLES = 500
BLOCK = 2_000_000  # walkers times points that are computed at once


@dataclass(frozen=True)
class TransitNight:
    """One light curve with a transit: ``[t]`` each; time in days, flux near any level, NaN where missing.

    ``mid_time`` is expected within ``window`` to both sides.
    """

    time: Floats
    flux: Floats
    error: Floats
    filter_name: str
    mid_time: float
    window: float


@dataclass(frozen=True)
class NightFit:
    """What was found of one night, ``[t]`` as given; jitter and red noise are mag (rms), β that of the residuals."""

    mid_time: Estimate
    jitter: Estimate
    red_noise: Estimate
    beta: float
    trend: Floats
    detrended: Floats
    model: Floats
    used: NDArray[np.bool_]

    @property
    def residual_scatter(self) -> float:
        """Standard deviation of the points used about the model, relative."""
        return float(np.std((self.detrended - self.model)[self.used]))


@dataclass(frozen=True)
class JointFit:
    """Posterior of all nights. Limb darkening: u and v by filter. ``acceptance`` of emcee, ``effective`` samples."""

    radius_ratio: Estimate
    axis_ratio: Estimate
    impact: Estimate
    inclination_deg: Estimate
    duration: Estimate  # first to fourth contact, days
    depth: dict[str, Estimate]  # by filter, at mid-transit
    limb_darkening: dict[str, tuple[Estimate, Estimate]]
    nights: tuple[NightFit, ...]
    acceptance: float
    effective: float


def fit_transits(
    nights: Sequence[TransitNight], planet: PlanetPrior, *, seed: int, steps: int = STEPS, walkers: int | None = None
) -> JointFit:
    """Sample the posterior of the transits of one planet.

    Shared are the radius ratio, the orbit's radius in stellar radii and the impact parameter, on a circular orbit of
    the given period; limb darkening is quadratic, of each filter; each night has a mid-time, a jitter, a quadratic
    trend, and noise that neighbouring points share; the last two are integrated out (see `RedLikelihood`).

    Args:
        nights: one a light curve; two of one transit in different filters have mid-times of their own.
        planet: what is known before.
        seed: of all random numbers.
        steps, walkers: of emcee; by default 32 walkers or three a parameter.

    Raises:
        UnusableDataError: no night, or one with fewer than MIN_POINTS usable points, or none near its mid-time.
    """
    if not nights:
        raise UnusableDataError("there is no night to fit")
    problem = _Problem(nights, planet)
    rng = np.random.default_rng(seed)
    if walkers is None:
        walkers = max(WALKERS_LEAST, WALKERS_PER_PARAMETER * problem.size)
    walkers += walkers % 2
    samples, acceptance, effective = _sample(problem, steps, walkers, rng)
    return problem.result(samples, acceptance, effective)


class _Night:
    """A night's data about its own reference time, and the likelihood of what a transit leaves of it."""

    def __init__(self, night: TransitNight, number: int) -> None:
        self.given = night
        self.used = _usable(night, number)
        order = np.argsort(night.time[self.used], kind="stable")
        time = night.time[self.used][order]
        flux = night.flux[self.used][order]
        self.level = float(np.median(flux))
        self.reference = 0.5 * float(time[0] + time[-1])
        self.low = max(night.mid_time - night.window, float(time[0]))
        self.high = min(night.mid_time + night.window, float(time[-1]))
        if not self.low < self.high:
            raise UnusableDataError(
                f"night {number + 1}: no point within {night.window:g} d of mid-time {night.mid_time}; its times run "
                f"from {time[0]} to {time[-1]}"
            )
        magnitude = -MAG_PER_LN * np.log(flux / self.level)
        error = MAG_PER_LN * night.error[self.used][order] / flux
        found = fit_trapezoid(
            time,
            flux / self.level,
            night.error[self.used][order] / self.level,
            mid_time_guess=0.5 * (self.low + self.high),
            mid_time_window=0.5 * (self.high - self.low),
        )
        self.time, self.magnitude = time, magnitude
        self.likelihood = RedLikelihood.of(time - self.reference, error)
        self.scatter = MAG_PER_LN * found.residual_scatter
        excess = (MAG_PER_LN * found.residual_scatter) ** 2 - float(np.median(error)) ** 2
        self.start_mid = float(np.clip(found.mid_time, self.low, self.high))
        self.start_depth = float(np.clip(found.depth, 1e-5, 0.15))
        self.start_jitter = float(np.sqrt(max(excess, (2.0 * JITTER_RANGE_MAG[0]) ** 2)))


class _Problem:
    """All nights: parameters of variates, and their posterior."""

    def __init__(self, nights: Sequence[TransitNight], planet: PlanetPrior) -> None:
        self.planet = planet
        self.nights = [_Night(night, number) for number, night in enumerate(nights)]
        self.filters = list(dict.fromkeys(night.filter_name for night in nights))
        self.size = SHARED + OF_FILTER * len(self.filters) + OF_NIGHT * len(self.nights)

    def shared(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        """k, a and b of variates float64[w, size]: float64[w] each."""
        k = priors.uniform(q[:, 0], *priors.RADIUS_RATIO_RANGE)
        a = priors.axis_ratio(q[:, 1], self.planet.axis_ratio)
        return k, a, priors.impact(q[:, 2], self.planet.impact, k)

    def darkening(self, q: Floats, filter_name: str) -> tuple[Floats, Floats]:
        """u and v of a filter: float64[w] each."""
        at = SHARED + OF_FILTER * self.filters.index(filter_name)
        return priors.limb_darkening(q[:, at], q[:, at + 1], self.planet.coefficients(filter_name))

    def mid_time(self, q: Floats, number: int) -> Floats:
        """float64[w], as given."""
        night = self.nights[number]
        return priors.uniform(q[:, self._of_night(number)], night.low, night.high)

    def jitter(self, q: Floats, number: int) -> Floats:
        """float64[w], mag."""
        return np.exp(priors.uniform(q[:, self._of_night(number) + 1], *np.log(JITTER_RANGE_MAG)))

    def red_noise(self, q: Floats, number: int) -> Floats:
        """float64[w], mag."""
        return priors.uniform(q[:, self._of_night(number) + 2], 0.0, MOST_RED * self.nights[number].scatter)

    def _of_night(self, number: int) -> int:
        return SHARED + OF_FILTER * len(self.filters) + OF_NIGHT * number

    def share(self, q: Floats, number: int, time: Floats) -> Floats:
        """Light that is hidden at times float64[t]: float64[w, t]."""
        k, a, b = (values[:, None] for values in self.shared(q))
        u, v = (values[:, None] for values in self.darkening(q, self.nights[number].given.filter_name))
        mid = self.mid_time(q, number)[:, None]
        z = orbit_separation(time[None], mid, self.planet.period, a, np.minimum(b, a))
        return hidden_share(z, k, u, v)

    def log_probability(self, q: Floats) -> Floats:
        """Unnormalised posterior of variates float64[w, size]: float64[w]."""
        total = -0.5 * np.sum(q**2, axis=1)
        for number, night in enumerate(self.nights):
            at_once = max(1, BLOCK // night.time.size)
            parts = [self._of_one(q[i : i + at_once], number) for i in range(0, len(q), at_once)]
            total = total + np.concatenate(parts)
        return np.where(np.isfinite(total), total, -np.inf)

    def _of_one(self, q: Floats, number: int) -> Floats:
        night = self.nights[number]
        dimming = -MAG_PER_LN * np.log1p(-np.minimum(self.share(q, number, night.time), 0.999))
        return self._marginal(q, number, night.magnitude - dimming)[0]

    def _marginal(self, q: Floats, number: int, residual: Floats) -> tuple[Floats, Floats]:
        likelihood = self.nights[number].likelihood
        return likelihood.of_residuals(residual, self.jitter(q, number), self.red_noise(q, number))

    def start(self) -> Floats:
        """Variates float64[size] near the transits that trapezoids show."""
        from scipy.special import ndtri

        def of_uniform(value: float, low: float, high: float) -> float:
            return float(ndtri(np.clip((value - low) / (high - low), 0.02, 0.98)))

        q = np.zeros(self.size)
        depth = float(np.median([night.start_depth for night in self.nights]))
        q[0] = of_uniform(np.sqrt(0.8 * depth), *priors.RADIUS_RATIO_RANGE)
        if self.planet.impact is None:
            q[2] = of_uniform(START_IMPACT, 0.0, 1.0)
        for number, night in enumerate(self.nights):
            at = self._of_night(number)
            q[at] = of_uniform(night.start_mid, night.low, night.high)
            q[at + 1] = of_uniform(float(np.log(night.start_jitter)), *np.log(JITTER_RANGE_MAG))
            q[at + 2] = of_uniform(START_RED, 0.0, MOST_RED)
        return q

    def result(self, q: Floats, acceptance: float, effective: float) -> JointFit:
        """Estimates from samples float64[s, size]."""
        k, a, b = self.shared(q)
        b = np.minimum(b, a)
        darkening = {name: self.darkening(q, name) for name in self.filters}
        some = q[:: max(1, len(q) // CURVE_SAMPLES)]
        best = some[[int(np.argmax(self.log_probability(some)))]]
        return JointFit(
            radius_ratio=_estimate(k),
            axis_ratio=_estimate(a),
            impact=_estimate(b),
            inclination_deg=_estimate(np.degrees(np.arccos(b / a))),
            duration=_estimate(orbit_duration(self.planet.period, a, k, b)),
            depth={name: _estimate(hidden_share(b, k, u, v)) for name, (u, v) in darkening.items()},
            limb_darkening={name: (_estimate(u), _estimate(v)) for name, (u, v) in darkening.items()},
            nights=tuple(self._night(q, best, number) for number in range(len(self.nights))),
            acceptance=acceptance,
            effective=effective,
        )

    def _night(self, q: Floats, best: Floats, number: int) -> NightFit:
        night = self.nights[number]
        given = night.given
        dimming = -MAG_PER_LN * np.log1p(-self.share(best, number, night.time))
        coefficients = self._marginal(best, number, night.magnitude - dimming)[1][0]
        scaled = (given.time - night.reference) / np.abs(night.time - night.reference).max()
        trend = night.level * np.exp(-np.vander(scaled, TREND_TERMS, increasing=True) @ coefficients / MAG_PER_LN)
        detrended, model = given.flux / trend, 1.0 - self.share(best, number, given.time)[0]
        order = np.argsort(given.time[night.used], kind="stable")
        return NightFit(
            mid_time=_estimate(self.mid_time(q, number)),
            jitter=_estimate(self.jitter(q, number)),
            red_noise=_estimate(self.red_noise(q, number)),
            beta=red_noise_factor((detrended - model)[night.used][order]),
            trend=trend,
            detrended=detrended,
            model=model,
            used=night.used,
        )


def _usable(night: TransitNight, number: int) -> NDArray[np.bool_]:
    good = np.isfinite(night.time) & np.isfinite(night.flux) & np.isfinite(night.error)
    good &= (night.error > 0) & (night.flux > 0)
    if good.sum() < MIN_POINTS or float(np.ptp(night.time[good])) <= 0:
        raise UnusableDataError(f"night {number + 1}: {int(good.sum())} usable points: expected {MIN_POINTS} or more")
    good[good] = ~spikes(night.time[good], night.flux[good])
    return good


def _sample(problem: _Problem, steps: int, walkers: int, rng: np.random.Generator) -> tuple[Floats, float, float]:
    """Samples float64[s, size], the share of accepted proposals, and how many independent ones they are worth."""
    import emcee

    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(walkers, problem.size, problem.log_probability, vectorize=True, moves=moves)
    sampler.random_state = np.random.RandomState(rng.integers(2**32)).get_state()
    sampler.run_mcmc(problem.start() + START_SPREAD * rng.normal(size=(walkers, problem.size)), steps)
    burn = int(BURN_IN_SHARE * steps)
    times = emcee.autocorr.integrated_time(sampler.get_chain(discard=burn), quiet=True, tol=0)
    effective = (steps - burn) * walkers / max(float(np.nanmax(times)), 1.0)
    samples = sampler.get_chain(discard=burn, thin=THIN, flat=True)
    return np.asarray(samples, dtype=np.float64), float(np.mean(sampler.acceptance_fraction)), float(effective)


def _estimate(values: Floats) -> Estimate:
    return Estimate(*np.percentile(values, INTERVAL).tolist())
