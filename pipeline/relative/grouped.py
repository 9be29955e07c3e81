"""Reference groups by position and flux: the method of the Tianyu paper, section 3.4."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves, blocks
from pipeline.relative.relative_light_curves import LeftOut, RelativeLightCurves, over_mean
from pipeline.relative.shared_light import SharedLight
from pipeline.statistics import row_median

POSITION_BINS = 3  # in x and in y
MIN_GROUP_CANDIDATES = 6  # the paper's n_min
MIN_REFERENCES = 2  # a reference is compared with the others of its group, so there must be another


def calibrate_grouped(
    curves: LightCurves, candidates: NDArray[np.bool_], shared: SharedLight | None = None
) -> RelativeLightCurves:
    """Divide each star by the plain mean of the references of its own position bin and flux quantile.

    Position bins are 3×3 quantiles of the candidates' x and y; with fewer than two candidates in one of them 2×2, then
    one bin, are used. A bin of N candidates has ``min(floor(N / 6), floor(sqrt(N)))`` flux quantiles, at least one;
    other stars belong to the quantile their median flux falls in. In a group, reference i is divided by the mean of
    the other references and every other star by the mean of all; a candidate stays a reference if leaving it out
    lowers the group's signal-to-noise ratio, and the two that matter most stay in any case.

    References whose light a star shares are left out of its mean too, where there are others, which the paper does not.

    The mean is plain: an epoch in which a reference is missing has no relative flux in that group. Each finished
    light curve is divided by its level, a constant that the paper leaves in.

    Args:
        curves: raw, at known places.
        candidates: bool[n], see `pipeline.relative.reference_candidates`.
        shared: stars that share light; without it none do.

    Returns:
        RelativeLightCurves; the weight of each reference is 1 / (references of its group).

    Raises:
        UnusableDataError: fewer than two candidates.
    """
    flux = curves.flux
    if candidates.sum() < MIN_REFERENCES:
        raise UnusableDataError(
            f"{int(candidates.sum())} reference candidates among {len(flux)} stars: expected at least "
            f"{MIN_REFERENCES}; the ensemble method needs only one"
        )
    group = assign_groups(row_median(flux[:, curves.good]), curves.xy, candidates)
    is_reference = np.zeros(len(flux), dtype=np.bool_)
    weight = np.zeros(len(flux))
    for number in np.unique(group):
        stars = np.flatnonzero(group == number)
        chosen = choose_references(flux[stars][:, curves.good], candidates[stars])
        is_reference[stars] = chosen
        weight[stars] = chosen / chosen.sum()
    relative = over_groups(curves, group, is_reference, shared or SharedLight.none())
    return RelativeLightCurves.of(curves, relative, group, is_reference, weight)


def over_groups(
    curves: LightCurves, group: NDArray[np.int64], is_reference: NDArray[np.bool_], shared: SharedLight
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each star over the plain mean of the references of its group, and the error of that, float64[n, t] each.

    Args:
        curves: raw.
        group: int64[n].
        is_reference: bool[n].
        shared: stars that share light.
    """
    relative = np.full(curves.flux.shape, np.nan), np.full(curves.flux.shape, np.nan)
    for number in np.unique(group):
        stars = np.flatnonzero(group == number)
        members, chosen = curves.stars(stars), is_reference[stars]
        total, variance = members.flux[chosen].sum(axis=0), np.square(members.error[chosen]).sum(axis=0)
        near = shared.among(stars, stars).with_references(chosen, chosen)
        left_out = LeftOut.of(near, slice(0, stars.size), members)
        relative[0][stars], relative[1][stars] = over_mean(
            members, total, variance, chosen, int(chosen.sum()), left_out
        )
    return relative


def assign_groups(
    brightness: NDArray[np.float64], xy: NDArray[np.float64], candidates: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Group of each star, numbered from 0 by position bin, then flux.

    Args:
        brightness: float64[n], median flux; NaN counts as faintest.
        xy: float64[n, 2], px.
        candidates: bool[n], at least two.

    Returns:
        int64[n].
    """
    position = _position_bins(xy, candidates)
    brightness = np.where(np.isfinite(brightness), brightness, -np.inf)
    group = np.zeros(len(brightness), dtype=np.int64)
    first = 0
    for bin_number in np.unique(position):
        here = position == bin_number
        ordered = np.sort(brightness[here & candidates])
        quantiles = max(1, min(ordered.size // MIN_GROUP_CANDIDATES, int(np.sqrt(ordered.size))))
        # The faintest candidate of each quantile but the first: equal shares whatever the distribution.
        edges = ordered[(np.arange(1, quantiles) * ordered.size) // quantiles]
        group[here] = first + np.searchsorted(edges, brightness[here], side="right")
        first += quantiles
    return group


def _position_bins(xy: NDArray[np.float64], candidates: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The finest grid of quantiles in which every bin has MIN_REFERENCES candidates."""
    for bins in range(POSITION_BINS, 1, -1):
        shares = np.arange(1, bins) / bins
        column, row = (np.searchsorted(np.quantile(axis[candidates], shares), axis, side="right") for axis in xy.T)
        position = np.asarray(row * bins + column, dtype=np.int64)
        if np.bincount(position[candidates], minlength=bins**2).min() >= MIN_REFERENCES:
            return position
    return np.zeros(len(xy), dtype=np.int64)


def choose_references(flux: NDArray[np.float64], candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Candidates of one group whose absence lowers the group's signal-to-noise ratio; at least two.

    Args:
        flux: float64[n, t], raw fluxes of the group in the good epochs.
        candidates: bool[n].

    Returns:
        bool[n].
    """
    numbers = np.flatnonzero(candidates)
    if numbers.size <= MIN_REFERENCES:
        return candidates.copy()
    total = flux[numbers].sum(axis=0)
    whole = group_snr(_relative(flux, total, candidates))
    without = np.empty(numbers.size)
    for some in blocks(numbers.size, flux.size):
        left_out = numbers[some]
        others = np.tile(candidates, (left_out.size, 1))
        others[np.arange(left_out.size), left_out] = False
        without[some] = group_snr(_relative(flux, total - flux[left_out], others))
    chosen = np.zeros_like(candidates)
    chosen[numbers[without < whole]] = True
    chosen[numbers[np.argsort(without, kind="stable")[:MIN_REFERENCES]]] = True
    return chosen


def group_snr(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """``sum(|m| / s²) / sqrt(sum(1 / s²))`` over the stars with the most epochs (the Tianyu paper, equation 6).

    Args:
        relative: float64[..., n, t]; m and s are the mean and standard deviation of each row.

    Returns:
        float64[...], the ratio of each group; NaN where no star has a finite value.
    """
    present = np.isfinite(relative)
    count = present.sum(axis=-1)
    divisor = np.maximum(count, 1)
    mean = np.where(present, relative, 0.0).sum(axis=-1) / divisor
    variance = np.where(present, np.square(relative - mean[..., None]), 0.0).sum(axis=-1) / divisor
    known = (count == count.max(axis=-1, keepdims=True)) & (variance > 0)
    inverse = np.divide(1.0, variance, out=np.zeros_like(variance), where=known)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(mean) * inverse).sum(axis=-1) / np.sqrt(inverse.sum(axis=-1)))


def _relative(
    flux: NDArray[np.float64], total: NDArray[np.float64], references: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Each star over the mean of the references (``total`` is their sum), itself left out; float64[..., n, t].

    ``flux``: float64[n, t]; ``total``: float64[..., t]; ``references``: bool[..., n].
    """
    total, others = total[..., None, :], references.sum(axis=-1, keepdims=True) - references
    mean = np.where(references[..., None], total - flux, total) / others[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(flux / mean)
