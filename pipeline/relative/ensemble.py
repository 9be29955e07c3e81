"""One comparison for all stars: the weighted mean of all good references (Broeg, Fernández & Neuhäuser 2005)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves, blocks
from pipeline.relative.constancy import spread_of, stand_out
from pipeline.relative.reference_candidates import values_that_count
from pipeline.relative.relative_light_curves import RelativeLightCurves
from pipeline.relative.shared_light import Others, SharedLight
from pipeline.statistics import robust_scatter

MAX_ITERATIONS = 20
CONVERGED = 0.01  # largest relative change of a variance
MIN_EPOCHS = 5  # good values a star needs for its own scatter to mean anything; else its quoted errors are believed
OUTLIER_SIGMA = 5.0
MIN_VARIANCE = 1e-12  # relative; 1 ppm of scatter, below which no photometry goes and weights would overflow
MIN_REFERENCES = 2  # that stay, whatever varies
MIN_OTHERS = 1e-9  # of a total weight of 1: what rounding leaves of the others' weight where there are none


def calibrate_ensemble(
    curves: LightCurves,
    candidates: NDArray[np.bool_],
    values: NDArray[np.bool_] | None = None,
    shared: SharedLight | None = None,
) -> RelativeLightCurves:
    """Divide every star by the weighted mean of the candidates, itself and those left out whose light it shares.

    Each candidate is first divided by its own level, so that one missing from a frame does not move the mean. Its
    weight is 1 / (variance of its own relative light curve), iterated as in Broeg et al. (2005), with two
    differences: the variance that the comparison brought is taken off, so that one bright star among faint ones keeps
    its weight; and it is never below the quoted one, so that a lucky scatter earns nothing. Weights follow S/N²:
    thousands of faint stars add to the mean what they know. Single values that stand out by 5 sigma (a hot pixel, a
    flare) are left out of the mean. A variable gets next to no weight, and is dropped in the end: it is no reference
    (see `pipeline.relative.constancy`).

    Args:
        curves: raw.
        candidates: bool[n], see `pipeline.relative.reference_candidates`.
        values: bool[n, t], which values of candidates count in the mean; the others do as if they were missing.
            Without it all do.
        shared: stars that share light; without it none do. A star that has no other comparison is compared with them.

    Returns:
        RelativeLightCurves, all in group 0. Without another star than itself, a star has no light curve (NaN).

    Raises:
        UnusableDataError: ``values`` of another shape, or no candidate with a positive flux.
    """
    flux, error, good = curves.flux, curves.error, curves.good
    if values is not None and values.shape != flux.shape:
        raise UnusableDataError(f"values {values.shape} of fluxes {flux.shape}: expected the same shape")
    members = np.flatnonzero(candidates)
    measured = np.isfinite(flux[members]) & np.isfinite(error[members])
    if values is not None:
        measured &= values[members]
    good_values = measured & good
    level = np.where(good_values, flux[members], 0.0).sum(axis=1) / np.maximum(good_values.sum(axis=1), 1)
    members, measured, level = members[level > 0], measured[level > 0], level[level > 0]
    if members.size == 0:
        raise UnusableDataError(
            f"{int(candidates.sum())} reference candidates among {len(flux)} stars, none with a positive mean flux in "
            "the good epochs: expected at least one, better six"
        )
    value = np.where(measured, flux[members], 0.0)
    noise = np.where(measured, error[members], 0.0)
    shared = shared or SharedLight.none()
    ensemble = _Ensemble(value, noise, measured, level, shared.among(members, members))
    ensemble.solve(good)
    if ensemble.leave_out_outliers(good):
        ensemble.solve(good)
    if ensemble.drop_variables(good, measured):
        ensemble.solve(good)
    return _apply(curves, members, ensemble, shared)


def continue_ensemble(
    curves: LightCurves,
    weight: NDArray[np.float64],
    level: NDArray[np.float64],
    scatter: NDArray[np.float64],
    shared: SharedLight,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Divide later frames by the mean that `calibrate_ensemble` found: relative fluxes and errors, float64[n, t].

    Args:
        curves: raw, on frames that the mean was not found on.
        weight, level: float64[n], of the references, ``weight`` and ``mean_level`` of `RelativeLightCurves`.
        scatter: float64[n], of their relative light curves; single values that stand out by 5 sigma are left out.
        shared: stars that share light.
    """
    members = np.flatnonzero(weight > 0)
    used = values_that_count(curves, weight > 0)[members]
    value, noise = (np.where(used, values[members], 0.0) for values in (curves.flux, curves.error))
    ensemble = _Ensemble(value, noise, used, level[members], shared.among(members, members))
    ensemble.weigh(weight[members])
    ensemble.leave_out_outliers(curves.good, scatter[members])
    return _compared(curves, members, ensemble, shared)


class _Ensemble:
    """The reference stars while their levels and variances are iterated.

    ``value``, ``noise`` float64[c, t] with 0, and ``used`` bool[c, t] with False, where missing; ``level`` float64[c]
    the star's flux at transparency 1; ``variance`` float64[c] of its own relative noise; ``constant`` bool[c] whether
    it counts at all; ``shared`` members that share light, ``near`` those of them that are left out.
    """

    def __init__(
        self,
        value: NDArray[np.float64],
        noise: NDArray[np.float64],
        used: NDArray[np.bool_],
        level: NDArray[np.float64],
        shared: SharedLight,
    ) -> None:
        self.value, self.noise, self.used, self.level = value, noise, used, level
        quoted = np.square(noise).sum(axis=1) / np.maximum(used.sum(axis=1), 1) / level**2
        self.variance = np.maximum(quoted, MIN_VARIANCE)
        self.shared = shared
        self._keep(np.ones(len(value), dtype=np.bool_))

    def weigh(self, weight: NDArray[np.float64]) -> None:
        """Take weights that are known, which are positive."""
        self.variance = 1.0 / weight
        self._sum()

    def _keep(self, constant: NDArray[np.bool_]) -> None:
        self.constant = constant
        self.near = self.shared.with_references(constant, constant)
        self._sum()

    def _sum(self) -> None:
        """Sums over the members per epoch: weighted flux, weight, and variance of the weighted flux."""
        weight = self.constant / self.variance
        self.total = weight.sum()
        self.weight = weight / self.total
        scaled = self.weight / self.level
        epochs = self.value.shape[1]
        self.flux_sum, self.weight_sum, self.variance_sum = (np.zeros(epochs) for _ in range(3))
        for rows in blocks(*self.value.shape):
            used = self.used[rows]
            self.flux_sum += scaled[rows] @ (self.value[rows] * used)
            self.weight_sum += self.weight[rows] @ used
            self.variance_sum += scaled[rows] ** 2 @ np.square(self.noise[rows] * used)

    def comparison(self, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean of all other members for each of these, and its variance; float64[b, t], NaN without one."""
        mean, scaled, weight = self._others(rows)
        variance = self.variance_sum - np.square(scaled * self.noise[rows])
        near = self.near.of(rows)
        if near is not None:
            variance[near.who] -= self._brought_variance(near)
        return mean, np.maximum(variance, 0.0) / weight**2

    def comparison_without(self, near: Others) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For stars that are no members: the mean of the members but those near, and its variance; float64[k, t]."""
        flux, weight = self._brought(near)
        mean, weight = _mean(self.flux_sum - flux, self.weight_sum - weight)
        return mean, np.maximum(self.variance_sum - self._brought_variance(near), 0.0) / weight**2

    def _others(self, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The mean alone, with what these members have in the sums and the weight of the others; float64[b, t]."""
        scaled = (self.weight[rows] / self.level[rows])[:, None] * self.used[rows]
        flux = self.flux_sum - scaled * self.value[rows]
        weight = self.weight_sum - self.weight[rows, None] * self.used[rows]
        near = self.near.of(rows)
        if near is not None:
            near_flux, near_weight = self._brought(near)
            flux[near.who] -= near_flux
            weight[near.who] -= near_weight
        mean, weight = _mean(flux, weight)
        return mean, scaled, weight

    def _brought(self, near: Others) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What these members have in the sums: weighted flux and weight; float64[k, t] each."""
        used, weight = self.used[near.other], self.weight[near.other]
        scaled = (weight / self.level[near.other])[:, None] * used
        return near.sums(scaled * self.value[near.other]), near.sums(weight[:, None] * used)

    def _brought_variance(self, near: Others) -> NDArray[np.float64]:
        """What these members have in the variance of the sum: float64[k, t]."""
        scaled = (self.weight[near.other] / self.level[near.other])[:, None] * self.used[near.other]
        return near.sums(np.square(scaled * self.noise[near.other]))

    def solve(self, good: NDArray[np.bool_]) -> None:
        """Iterate levels and variances until no variance changes by more than CONVERGED."""
        for _ in range(MAX_ITERATIONS):
            before = self.variance.copy()
            near = np.bincount(self.near.star, self.weight[self.near.other], minlength=self.weight.size)
            others = np.maximum(1.0 - self.weight - near, MIN_OTHERS) * self.total
            for rows in blocks(*self.value.shape):
                self._improve(rows, good, 1.0 / others[rows])
            self._sum()
            if np.abs(np.log(self.variance / before)).max() < CONVERGED:
                return

    def _improve(self, rows: slice, good: NDArray[np.bool_], brought: NDArray[np.float64]) -> None:
        """New levels and variances of these members; ``brought`` is the variance of their comparisons."""
        comparison, _, _ = self._others(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = comparison * self.level[rows, None]
            relative = self.value[rows] / expected
            quoted = np.square(self.noise[rows] / expected)
        kept = self.used[rows] & good & np.isfinite(relative)
        count = kept.sum(axis=1)
        divisor = np.maximum(count, 1)
        relative[~kept] = 0.0
        quoted[~kept] = 0.0
        mean = relative.sum(axis=1) / divisor
        scatter = np.square(relative).sum(axis=1) / divisor - mean**2
        fit = (count > 0) & (mean > 0)
        mean = np.where(fit, mean, 1.0)
        least = np.maximum(quoted.sum(axis=1) / divisor / mean**2, MIN_VARIANCE)
        own = scatter * divisor / np.maximum(divisor - 1, 1) / mean**2 - brought
        new = np.where(fit & (count >= MIN_EPOCHS), np.maximum(own, least), least)
        self.level[rows] *= mean
        # The geometric mean of old and new: between two stars alone, full steps would never settle.
        self.variance[rows] = np.where(fit, np.sqrt(self.variance[rows] * new), self.variance[rows])

    def leave_out_outliers(self, good: NDArray[np.bool_], scatter: NDArray[np.float64] | None = None) -> bool:
        """Drop single values that stand out from their star's own light curve; True when there was one.

        ``scatter``: float64[c], of each star's light curve, where it is known from elsewhere. Where most stars of an
        epoch stand out, it is the mean that is wrong, and all are kept.
        """
        standing_out = np.zeros_like(self.used)
        for rows in blocks(*self.value.shape):
            relative, quoted = self.relative(rows)
            relative[~self.used[rows]] = np.nan
            own = robust_scatter(relative[:, good]) if scatter is None else scatter[rows]
            sigma = np.maximum(np.where(np.isfinite(own), own, 0.0)[:, None], quoted)
            standing_out[rows] = np.abs(relative - 1.0) > OUTLIER_SIGMA * sigma
        standing_out[:, 2 * standing_out.sum(axis=0) > self.used.sum(axis=0)] = False
        if not standing_out.any():
            return False
        self.used = self.used & ~standing_out
        self._sum()
        return True

    def relative(self, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """These members over the mean of all others, about 1, and its quoted error; float64[b, t]."""
        comparison, variance = self.comparison(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = comparison * self.level[rows, None]
            return self.value[rows] / expected, np.sqrt(
                np.square(self.noise[rows] / expected) + variance / comparison**2
            )

    def drop_variables(self, good: NDArray[np.bool_], measured: NDArray[np.bool_]) -> bool:
        """Members that vary are references no more; True when there was one and others are left."""
        parts = []
        for rows in blocks(*self.value.shape):
            relative, error = self.relative(rows)
            relative[~measured[rows]] = np.nan
            parts.append(spread_of(relative, error, good))
        constant = ~stand_out(parts, self.level)
        if constant.all() or constant.sum() < MIN_REFERENCES:
            return False
        self._keep(constant)
        return True


def _mean(flux: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and its weight, NaN where rounding left it."""
    weight = np.where(weight > MIN_OTHERS, weight, np.nan)
    return flux / weight, weight


def _apply(
    curves: LightCurves, members: NDArray[np.int64], ensemble: _Ensemble, shared: SharedLight
) -> RelativeLightCurves:
    weight, mean_level = np.zeros(len(curves)), np.full(len(curves), np.nan)
    weight[members], mean_level[members] = ensemble.weight, ensemble.level
    group = np.zeros(len(curves), dtype=np.int64)
    relative = _compared(curves, members, ensemble, shared)
    return RelativeLightCurves.of(curves, relative, group, weight > 0, weight, mean_level)


def _compared(
    curves: LightCurves, members: NDArray[np.int64], ensemble: _Ensemble, shared: SharedLight
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All stars over the comparison, members and those who share light with them over that of the others."""
    flux, error = curves.flux, curves.error
    none = ensemble.weight_sum <= 0
    weight_sum = np.where(none, np.nan, ensemble.weight_sum)
    mean, variance = ensemble.flux_sum / weight_sum, ensemble.variance_sum / weight_sum**2
    relative, relative_error = np.empty_like(flux), np.empty_like(flux)
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in blocks(*flux.shape):
            _divide(flux[rows], error[rows], mean, variance, relative[rows], relative_error[rows])
        for stars, mean, variance in _own_comparisons(flux.shape, members, ensemble, shared):
            block, block_error = np.empty_like(mean), np.empty_like(mean)
            _divide(flux[stars], error[stars], mean, variance, block, block_error)
            relative[stars], relative_error[stars] = block, block_error
    return relative, relative_error


def _own_comparisons(
    shape: tuple[int, ...], members: NDArray[np.int64], ensemble: _Ensemble, shared: SharedLight
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Stars that are not compared with all members, a block at a time, with their mean and its variance."""
    targets = np.setdiff1d(np.arange(shape[0]), members)
    pairs = shared.among(targets, members)
    pairs = pairs.with_references(ensemble.constant, np.zeros(targets.size, dtype=np.bool_))
    for rows in blocks(targets.size, shape[1]):
        near = pairs.of(rows)
        if near is not None:
            yield targets[rows][near.who], *ensemble.comparison_without(near)
    for rows in blocks(*ensemble.value.shape):
        yield members[rows], *ensemble.comparison(rows)


def _divide(
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    relative: NDArray[np.float64],
    relative_error: NDArray[np.float64],
) -> None:
    np.divide(flux, mean, out=relative)
    np.divide(np.sqrt(error**2 + np.square(relative) * variance), mean, out=relative_error)
