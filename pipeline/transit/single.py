"""One transit in one light curve: posterior, detrended light curve, and how much more likely it is than none.

After Appendix C of the paper on the Tianyu software: magnitudes; a quadratic trend whose coefficients enter linearly;
a transit that fades monotonically in its first half and brightens in its second; white noise beside the quoted errors;
samples by emcee (Foreman-Mackey et al. 2013); the Bayes factor against the trend alone. What differs is said in
`fit_transit`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.transit.evidence import log_evidence
from pipeline.transit.posterior import PARAMETERS, TREND_TERMS, Posterior
from pipeline.transit.red_noise import red_noise_factor
from pipeline.transit.shape import hidden_share
from pipeline.transit.trapezoid import MIN_POINTS, fit_trapezoid, spikes
from pipeline.units import MAG_PER_LN

Floats = NDArray[np.float64]

STEPS = 1500
BURN_IN_SHARE = 0.4
WALKERS = 32
THIN = 5
START_SPREAD = 0.03  # of the walkers, in standard deviations of the prior
LIMB_DARKENING_RANGE = (0.3, 0.8)  # linear, F to M dwarfs in V to I (Claret & Bloemen 2011, A&A 529, A75)
START_LIMB_DARKENING, START_IMPACT = 0.5, 0.3
SHORTEST_DURATION = 4.0  # median cadences
CURVE_SAMPLES = 2000  # among which the curves' is chosen
INTERVAL = (50.0, 15.865, 84.135)  # percentiles: median, one standard deviation down and up
RADIUS_RATIO_RANGE = (0.0, 0.4)
IMPACT_RANGE = (0.0, 1.0)
JITTER_RANGE_MAG = (1e-4, 0.3)


@dataclass(frozen=True)
class Estimate:
    """Median of a posterior and the ends of its central 68.3 %."""

    median: float
    lower: float
    upper: float

    @property
    def error(self) -> float:
        """Half the width of the interval."""
        return 0.5 * (self.upper - self.lower)


@dataclass(frozen=True)
class TransitFit:
    """Posterior of a single transit; t times as given, s samples.

    Attributes:
        mid_time, duration: in the unit (and zero point) of the times; first to fourth contact.
        depth: share of the light hidden at mid-transit.
        radius_ratio, impact, limb_darkening: planet to star; of the chord, stellar radii; linear coefficient.
        jitter: white noise beside the quoted errors, mag.
        log_bayes_factor: ln of the evidence of the transit over that of the quadratic trend alone.
        log_bayes_factor_error: standard error of its integration.
        effective_draws: of the integration; below some tens neither of the two can be trusted.
        red_noise: β that widened the likelihood, 1 for white noise.
        acceptance: mean share of accepted proposals.
        trend: float64[t], flux without transit.
        detrended: float64[t], flux over the trend; NaN where the flux is missing.
        model: float64[t], relative flux of the transit alone.
        used: bool[t], points neither missing nor spikes.
        samples: float64[s, 6], in the order of `pipeline.transit.posterior.PARAMETERS`, mid-times as given.
    """

    mid_time: Estimate
    duration: Estimate
    depth: Estimate
    radius_ratio: Estimate
    impact: Estimate
    limb_darkening: Estimate
    jitter: Estimate
    log_bayes_factor: float
    log_bayes_factor_error: float
    effective_draws: float
    red_noise: float
    acceptance: float
    trend: Floats
    detrended: Floats
    model: Floats
    used: NDArray[np.bool_]
    samples: Floats


def fit_transit(
    time: Floats,
    flux: Floats,
    error: Floats,
    *,
    seed: int,
    mid_time_guess: float | None = None,
    mid_time_window: float | None = None,
    duration_range: tuple[float, float] | None = None,
    limb_darkening_range: tuple[float, float] = LIMB_DARKENING_RANGE,
    red_noise: float | None = None,
    steps: int = STEPS,
    walkers: int = WALKERS,
) -> TransitFit:
    """Sample the posterior of a transit in one night and weigh it against a quadratic trend.

    Beside the paper: the transit is a dark disc on a linearly limb-darkened star instead of a polynomial, which makes
    it monotonic by construction and gives a radius ratio; the trend's coefficients are integrated out analytically
    (Gaussian prior of 1 mag each, the same without transit); the evidence comes from importance sampling, for
    averages over posterior samples have no bounded variance; red noise widens all intervals. Priors are uniform:
    mid-time within the window, logarithm of the duration, radius ratio 0 to 0.4, impact 0 to 1, limb darkening within
    its range, logarithm of the jitter 0.1 mmag to 0.3 mag.

    Args:
        time: float64[t], any unit, days as a rule.
        flux: float64[t], near any level, NaN where missing.
        error: float64[t], one standard deviation.
        seed: of all random numbers.
        mid_time_guess: where to look; the middle of the times without it.
        mid_time_window: how far from the guess to look; everywhere in the times without it.
        duration_range: shortest and longest; without it four cadences to the whole time.
        limb_darkening_range: of the linear coefficient.
        red_noise: β by which neighbouring points average worse than white noise; measured from the residuals of the
            best trapezoid without it; 1 is the paper's white noise.
        steps, walkers: of emcee.

    Raises:
        UnusableDataError: fewer than MIN_POINTS usable points, all at one time, or none near the guess.
    """
    used = _usable(time, flux, error)
    order = np.argsort(time[used], kind="stable")
    t, f, e = (values[used][order] for values in (time, flux, error))
    reference, level = 0.5 * float(t[0] + t[-1]), float(np.median(f))
    window = (mid_time_guess, mid_time_window)
    low, high = _limits(t, reference, window, duration_range, limb_darkening_range)
    posterior = Posterior(t - reference, -MAG_PER_LN * np.log(f / level), MAG_PER_LN * e / f, low, high)
    start, beta = _start(posterior)
    posterior = replace(posterior, red_noise=beta if red_noise is None else red_noise)

    rng = np.random.default_rng(seed)
    q, acceptance = _sample(posterior, start, steps, walkers, rng)
    with_transit, its_error, effective = log_evidence(
        lambda draws: posterior.log_likelihood(posterior.to_parameters(draws)), q, rng
    )
    samples = posterior.to_parameters(q)
    trend, model = _curves(posterior, q, time - reference)
    return TransitFit(
        **_estimates(samples, reference),
        log_bayes_factor=with_transit - posterior.log_evidence_without_transit(),
        log_bayes_factor_error=its_error,
        effective_draws=effective,
        red_noise=posterior.red_noise,
        acceptance=acceptance,
        trend=level * trend,
        detrended=flux / (level * trend),
        model=model,
        used=used,
        samples=samples + reference * (np.arange(len(PARAMETERS)) == 0),
    )


def _usable(time: Floats, flux: Floats, error: Floats) -> NDArray[np.bool_]:
    """Points that are there and no spikes, bool[t]. Nothing is clipped about a model: that would favour it."""
    usable = np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (error > 0) & (flux > 0)
    span = float(np.ptp(time[usable])) if usable.any() else 0.0
    if usable.sum() < MIN_POINTS or span <= 0:
        raise UnusableDataError(f"{int(usable.sum())} usable points over {span} of time: expected {MIN_POINTS} or more")
    usable[usable] = ~spikes(time[usable], flux[usable])
    return usable


def _limits(
    time: Floats,
    reference: float,
    window: tuple[float | None, float | None],
    durations: tuple[float, float] | None,
    limb_darkening: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Limits float64[6] of the priors, for sorted times."""
    guess, reach = window
    first, last = float(time[0]), float(time[-1])
    if guess is not None and reach is not None:
        first, last = max(first, guess - reach), min(last, guess + reach)
    if not first < last:
        raise UnusableDataError(f"nothing within {reach} of mid-time {guess}: times run from {time[0]} to {time[-1]}")
    shortest, longest = durations or (SHORTEST_DURATION * float(np.median(np.diff(time))), float(time[-1] - time[0]))
    if not 0 < shortest < longest:
        raise UnusableDataError(f"durations from {shortest} to {longest}: expected a short and a longer one")
    ends = zip(
        (first - reference, last - reference),
        np.log((shortest, longest)),
        RADIUS_RATIO_RANGE,
        IMPACT_RANGE,
        limb_darkening,
        np.log(JITTER_RANGE_MAG),
        strict=True,
    )
    low, high = (np.array(end, dtype=np.float64) for end in ends)
    return low, high


def _start(posterior: Posterior) -> tuple[Floats, float]:
    """q of the best trapezoid within the window, and β of its residuals."""
    low, high = posterior.low, posterior.high
    flux = np.exp(-posterior.magnitude / MAG_PER_LN)
    found = fit_trapezoid(
        posterior.time,
        flux,
        posterior.error,
        mid_time_guess=0.5 * (low[0] + high[0]),
        mid_time_window=0.5 * (high[0] - low[0]),
    )
    ratio = np.sqrt(max(found.depth, 0.0) * (1.0 - START_LIMB_DARKENING / 3.0))
    excess = (MAG_PER_LN * found.residual_scatter) ** 2 - float(np.median(posterior.error)) ** 2
    jitter = np.sqrt(max(excess, JITTER_RANGE_MAG[0] ** 2))
    x = np.array([found.mid_time, np.log(found.duration), ratio, START_IMPACT, START_LIMB_DARKENING, np.log(jitter)])
    return posterior.from_parameters(x), red_noise_factor((flux - found.model)[found.used])


def _sample(
    posterior: Posterior, start: Floats, steps: int, walkers: int, rng: np.random.Generator
) -> tuple[Floats, float]:
    """Samples float64[s, 6] in q, and the share of accepted proposals."""
    import emcee

    dimensions = len(PARAMETERS)
    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(walkers, dimensions, posterior.log_probability, vectorize=True, moves=moves)
    sampler.random_state = np.random.RandomState(rng.integers(2**32)).get_state()
    sampler.run_mcmc(start + START_SPREAD * rng.normal(size=(walkers, dimensions)), steps)
    samples = sampler.get_chain(discard=int(BURN_IN_SHARE * steps), thin=THIN, flat=True)
    return np.asarray(samples, dtype=np.float64), float(np.mean(sampler.acceptance_fraction))


def _curves(posterior: Posterior, q: Floats, time: Floats) -> tuple[Floats, Floats]:
    """Relative flux of trend and of transit at times float64[t], of the most probable of some samples."""
    some = q[:: max(1, len(q) // CURVE_SAMPLES)]
    best = posterior.to_parameters(some[[int(np.argmax(posterior.log_probability(some)))]])
    scaled = time / np.abs(posterior.time).max()
    trend = np.vander(scaled, TREND_TERMS, increasing=True) @ posterior.trend(best)[0]
    return np.exp(-trend / MAG_PER_LN), np.exp(-posterior.dimming(best, time)[0] / MAG_PER_LN)


def _estimates(samples: Floats, reference: float) -> dict[str, Estimate]:
    mid, ln_duration, ratio, impact, limb, ln_jitter = samples.T
    values = {
        "mid_time": mid + reference,
        "duration": np.exp(ln_duration),
        "depth": hidden_share(impact, ratio, limb),
        "radius_ratio": ratio,
        "impact": impact,
        "limb_darkening": limb,
        "jitter": np.exp(ln_jitter),
    }
    return {name: Estimate(*np.percentile(value, INTERVAL).tolist()) for name, value in values.items()}
