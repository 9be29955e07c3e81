"""A transit in one light curve: a trapezoid on a baseline that bends with time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import robust_scatter

MIN_POINTS = 12  # seven parameters, and something left to judge them by
CLIP_SIGMA = 4.0
MAX_CLIPS = 5
SPIKE_SIGMA = 6.0
SPIKE_WINDOW = 5  # points; a transit of three survives
TRIAL_SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)  # durations tried without a guess, of the time observed
TRIAL_MIDS = 13
MAX_DEPTH = 1.0
INGRESS_SHARES = (0.01, 0.5)  # of the duration; a half makes a V
START_INGRESS_SHARE = 0.15


@dataclass(frozen=True)
class TrapezoidFit:
    """``flux = baseline * (1 - depth * shape)``; errors are one standard deviation, scaled by the residuals.

    Attributes:
        depth, depth_error: share of the flux.
        mid_time, mid_time_error: in the unit and zero point of the times given.
        duration, duration_error: first to fourth contact, same unit.
        ingress: first to second contact, same unit.
        baseline: float64[3], coefficients of 1, x, x² with ``x = time - reference_time``.
        reference_time: same unit.
        residual_scatter: robust standard deviation of the residuals over the baseline.
        model: float64[t], fitted flux at every time.
        used: bool[t], points neither missing nor clipped.
    """

    depth: float
    depth_error: float
    mid_time: float
    mid_time_error: float
    duration: float
    duration_error: float
    ingress: float
    baseline: NDArray[np.float64]
    reference_time: float
    residual_scatter: float
    model: NDArray[np.float64]
    used: NDArray[np.bool_]


def trapezoid(time: NDArray[np.float64], mid_time: float, duration: float, ingress: float) -> NDArray[np.float64]:
    """Shape of a transit: 0 outside, 1 between second and third contact, linear in between; float64[t]."""
    return np.clip((0.5 * duration - np.abs(time - mid_time)) / ingress, 0.0, 1.0)


def fit_trapezoid(
    time: NDArray[np.float64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    *,
    mid_time_guess: float,
    duration_guess: float | None = None,
    mid_time_window: float | None = None,
) -> TrapezoidFit:
    """Fit a trapezoid times a quadratic baseline by least squares.

    Depth, mid-time, duration and ingress are searched; the baseline is solved linearly for each trial (variable
    projection, Golub & Pereyra 1973), so the starting grid finds the transit without knowing the trend. Points
    beyond 4 robust sigma are left out and the fit repeated until none is.

    Args:
        time: float64[t], any unit.
        flux: float64[t], near any level, NaN where missing.
        error: float64[t], one standard deviation; only their ratios matter.
        mid_time_guess: where to look.
        duration_guess: first to fourth contact; without it five shares of the time observed are tried.
        mid_time_window: how far from the guess to look; the guessed duration, or a sixth of the time observed.

    Raises:
        UnusableDataError: fewer than MIN_POINTS usable points, or all at one time.
    """
    usable = np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    span = float(np.ptp(time[usable])) if usable.any() else 0.0
    if usable.sum() < MIN_POINTS or span <= 0:
        raise UnusableDataError(f"{int(usable.sum())} usable points over {span} of time: expected {MIN_POINTS} or more")
    reference = float(time[usable].mean())
    window = mid_time_window or duration_guess or span / 6.0
    durations = (duration_guess,) if duration_guess else tuple(share * span for share in TRIAL_SHARES)
    mids = mid_time_guess + window * np.linspace(-1.0, 1.0, TRIAL_MIDS)
    everything = _Problem(time[usable] - reference, flux[usable], error[usable], span)
    # A wild point in the transit would turn the first search into a spike on that point.
    used = usable.copy()
    used[usable] = ~spikes(time[usable], flux[usable])
    problem = _Problem(time[used] - reference, flux[used], error[used], span)
    solution = problem.best_start(mids - reference, durations)
    solution, covariance = problem.solve(solution)
    for _ in range(MAX_CLIPS):
        kept = _kept(everything, usable, problem, solution)
        if np.array_equal(kept, used) or kept.sum() < MIN_POINTS:
            break
        used = kept
        problem = _Problem(time[used] - reference, flux[used], error[used], span)
        solution, covariance = problem.solve(solution)
    return _result(time, flux, used, reference, problem, solution, covariance)


class _Problem:
    """Residuals of ``parameters = (depth, mid, duration, ingress / duration)`` with the baseline solved for."""

    def __init__(
        self, x: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64], span: float
    ) -> None:
        self.x, self.flux, self.error, self.span = x, flux, error, span
        self.powers = np.vander(x / span, 3, increasing=True)

    def design(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        depth, mid, duration, share = parameters
        transit = 1.0 - depth * trapezoid(self.x, mid, duration, share * duration)
        return np.asarray(self.powers * (transit / self.error)[:, None])

    def baseline(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[3], coefficients of the powers of ``x / span``."""
        return np.asarray(np.linalg.lstsq(self.design(parameters), self.flux / self.error, rcond=None)[0])

    def residuals_with(self, parameters: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.flux / self.error - self.design(parameters) @ baseline)

    def residuals(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.residuals_with(parameters, self.baseline(parameters))

    def best_start(self, mids: NDArray[np.float64], durations: tuple[float, ...]) -> NDArray[np.float64]:
        """The trial with the smallest sum of absolute residuals, its depth solved linearly beside the baseline."""
        best, smallest = np.array([0.0, mids[mids.size // 2], durations[0], START_INGRESS_SHARE]), np.inf
        for duration in durations:
            for mid in mids:
                shape = trapezoid(self.x, mid, duration, START_INGRESS_SHARE * duration)
                if not 0 < np.count_nonzero(shape) < shape.size:
                    continue
                design = np.column_stack([self.powers, -shape]) / self.error[:, None]
                solved = np.linalg.lstsq(design, self.flux / self.error, rcond=None)[0]
                misfit = float(np.abs(self.flux / self.error - design @ solved).sum())
                if misfit < smallest:
                    best, smallest = np.array([solved[3] / solved[0], mid, duration, START_INGRESS_SHARE]), misfit
        return best

    def solve(self, start: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Best parameters, and their covariance scaled by the residuals."""
        from scipy import optimize

        cadence = self.span / self.x.size
        low = np.array([-MAX_DEPTH, self.x.min(), 2.0 * cadence, INGRESS_SHARES[0]])
        high = np.array([MAX_DEPTH, self.x.max(), 2.0 * self.span, INGRESS_SHARES[1]])
        inside = np.clip(start, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
        residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]] = self.residuals
        found = optimize.least_squares(  # type: ignore[operator]  # mypy takes it for its module
            residuals, inside, bounds=(low, high), x_scale=[0.01, 0.1 * self.span, 0.1 * self.span, 0.1]
        )
        degrees = max(1, self.x.size - 7)
        covariance = np.linalg.pinv(found.jac.T @ found.jac) * (2.0 * found.cost / degrees)
        return np.asarray(found.x, dtype=np.float64), covariance


def spikes(time: NDArray[np.float64], flux: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points of finite float64[t] that stand out from the running median, whatever the model; bool[t]."""
    order = np.argsort(time, kind="stable")
    deviation = np.empty_like(flux)
    windows = sliding_window_view(np.pad(flux[order], SPIKE_WINDOW // 2, mode="edge"), SPIKE_WINDOW)
    deviation[order] = flux[order] - np.median(windows, axis=1)
    return np.asarray(np.abs(deviation) > SPIKE_SIGMA * robust_scatter(deviation[None])[0])


def _kept(
    everything: _Problem, usable: NDArray[np.bool_], problem: _Problem, solution: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Usable points within CLIP_SIGMA robust sigma of the solution; bool[t]."""
    deviation = everything.residuals_with(solution, problem.baseline(solution))
    kept = usable.copy()
    kept[usable] = np.abs(deviation) <= CLIP_SIGMA * robust_scatter(deviation[None])[0]
    return kept


def _result(
    time: NDArray[np.float64],
    flux: NDArray[np.float64],
    used: NDArray[np.bool_],
    reference: float,
    problem: _Problem,
    solution: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> TrapezoidFit:
    depth, mid, duration, share = (float(value) for value in solution)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    baseline = problem.baseline(solution) / problem.span ** np.arange(3)
    x = time - reference
    trend = np.vander(x, 3, increasing=True) @ baseline
    model = trend * (1.0 - depth * trapezoid(x, mid, duration, share * duration))
    return TrapezoidFit(
        depth=depth,
        depth_error=float(errors[0]),
        mid_time=mid + reference,
        mid_time_error=float(errors[1]),
        duration=duration,
        duration_error=float(errors[2]),
        ingress=share * duration,
        baseline=baseline,
        reference_time=reference,
        residual_scatter=float(robust_scatter(((flux - model) / trend)[None, used])[0]),
        model=model,
        used=used,
    )
