"""Targets, references and check stars by rule, where nobody named them (as QLCP and XZUT-80LCP pick theirs)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.light_curves import LightCurves
from pipeline.relative.ensemble import calibrate_ensemble
from pipeline.statistics import robust_scatter, row_median
from pipeline.units import MAG_PER_LN

RANGE_PERCENT = (1.0, 99.0)  # of a star's values: one cosmic ray does not make a range


@dataclass(frozen=True)
class PickLimits:
    """What a star must keep to; magnitudes over one night. The defaults are those of QLCP (Zheng & Jiang 2023)."""

    error_max: float = 0.02  # median quoted error, mag
    missing_max: float = 0.2  # share of the good epochs
    references: int = 20  # at most
    scatter_max: float = 0.05  # of a reference or check star, standard deviation, mag
    range_max: float = 0.10  # of a reference or check star, brightest to faintest, mag
    target_scatter_min: float = 0.05  # of a target, standard deviation, mag
    target_radius: float = 0.5  # of a target from the field's middle, in halves of its width and height


@dataclass(frozen=True)
class Roles:
    """Which stars are what; bool[n] each, and no star is two things."""

    target: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    check: NDArray[np.bool_]


def pick_roles(curves: LightCurves, named: Roles, limits: PickLimits) -> Roles:
    """Fill what nobody named; a role with at least one named star is left as it is.

    References are the stars of the smallest scatter that are bright, complete, unsaturated and quiet; the check star
    is the one of these, besides the references, whose brightness is nearest to the first target's. Targets are the
    stars near the middle of the field that scatter much. Magnitudes are relative to the ensemble of all bright stars.

    Args:
        curves: raw.
        named: stars that were named.
        limits: what is kept to.

    Raises:
        UnusableDataError: no star keeps to the limits of a reference, or of a target where none was named.
    """
    complete, scatter, spread = _quality(curves, limits)
    taken = named.target | named.reference | named.check
    target = named.target
    if not target.any():
        target = complete & ~taken & (scatter >= limits.target_scatter_min) & _central(curves.xy, limits.target_radius)
        if not target.any():
            raise UnusableDataError(
                f"no target was named, and none of {int(complete.sum())} bright stars near the middle scatters by "
                f"{limits.target_scatter_min} mag: name the target (manual_targets)"
            )
    quiet = complete & ~taken & ~target & (scatter <= limits.scatter_max) & (spread <= limits.range_max)
    best = np.flatnonzero(quiet)[np.argsort(scatter[quiet], kind="stable")]
    reference, check = named.reference, named.check
    if not reference.any():
        # One is left for the check.
        wanted = min(limits.references, best.size if check.any() else max(1, best.size - 1))
        reference = _mask(best[:wanted], len(curves))
        if not reference.any():
            raise UnusableDataError(
                f"none of {len(curves)} stars can be a reference: expected a median error up to {limits.error_max} mag "
                f"({int(complete.sum())} stars), scatter up to {limits.scatter_max} and range up to "
                f"{limits.range_max} mag; name references (manual_references) or widen the limits (pick_…)"
            )
    rest = best[~reference[best]]
    if not check.any() and rest.size:
        level = row_median(curves.flux[:, curves.good])
        wanted_level = level[np.flatnonzero(target)[0]]
        distance = np.abs(np.log(level[rest] / wanted_level)) if wanted_level > 0 else np.arange(rest.size)
        check = _mask(rest[[np.argmin(distance)]], len(curves))
    return Roles(target, reference, check)


def _quality(
    curves: LightCurves, limits: PickLimits
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Whether each star is bright and complete; its scatter and range, mag, NaN for the others."""
    flux, good = curves.flux, curves.good
    with np.errstate(divide="ignore", invalid="ignore"):
        quoted = MAG_PER_LN * row_median(np.where(flux > 0, curves.error / flux, np.nan)[:, good])
    # A blend is measured as well as any star, but its neighbour may vary: no reference that somebody would name.
    fit = (curves.usable & ((curves.flag & int(Flag.BLENDED)) == 0))[:, good]
    complete = (quoted <= limits.error_max) & (fit.mean(axis=1) >= 1.0 - limits.missing_max)
    scatter, spread = np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    if complete.sum() > 1:
        stars = curves.stars(complete)
        found = calibrate_ensemble(stars, np.ones(len(stars), dtype=np.bool_))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(fit[complete], MAG_PER_LN * np.log(found.flux[:, good]), np.nan)
        # The robust scatter of a star that is eclipsed for a third of the night knows nothing of the eclipse.
        scatter[complete] = np.fmax(np.nanstd(_clipped(values), axis=1), robust_scatter(values))
        low, high = np.nanpercentile(values, RANGE_PERCENT, axis=1)
        spread[complete] = high - low
    return complete, scatter, spread


def _clipped(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.nanpercentile(values, RANGE_PERCENT, axis=1)
    return np.clip(values, low[:, None], high[:, None])


def _central(xy: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Whether a star is so near to the middle of the stars' box, in halves of its width and height."""
    low, high = np.nanmin(xy, axis=0), np.nanmax(xy, axis=0)
    half = np.maximum((high - low) / 2.0, 1.0)
    return np.asarray(np.hypot(*((xy - (low + high) / 2.0) / half).T) <= radius)


def _mask(numbers: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=np.bool_)
    mask[numbers] = True
    return mask
