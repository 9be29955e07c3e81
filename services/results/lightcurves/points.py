"""Points of a light curve that others' formats take, as plain numbers and text."""

from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from pipeline.statistics import robust_scatter
from pipeline.units import MAG_PER_LN
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.reading import barycentric_times

Floats = NDArray[np.float64]
FEWEST_STEPS = 10  # between neighbours, of which a scatter is known to a quarter


def usable_points(table: Table) -> NDArray[np.bool_]:
    """Points to report, bool[n]: usable, with a time, a positive relative flux and an error.

    Raises:
        DataError: there is none.
        ConfigurationError: points of several apertures.
    """
    apertures = np.unique(np.asarray(table["aperture"]))
    if apertures.size > 1:
        raise ConfigurationError(
            f"the light curve has points of {apertures.size} apertures: this format takes one (--aperture best)"
        )
    flux, error = (column_of(table, name) for name in ("flux_relative", "flux_relative_error"))
    good = np.array(table["usable"], dtype=bool)  # a copy
    with np.errstate(invalid="ignore"):
        good &= (
            (flux > 0) & (error > 0) & np.isfinite(barycentric_times(table)) & np.isfinite(column_of(table, "jd_utc"))
        )
    if not good.any():
        raise DataError(f"none of the {len(table)} points is usable: rejected images, flags, or no relative flux")
    return np.asarray(good)


def achieved_over_quoted(table: Table) -> float:
    """How much larger the scatter from point to point is than the quoted errors; 1 where it is not, or nobody knows.

    The scatter is the robust one of differences of neighbours, over their quoted errors: a transit or a pulsation that
    lasts many points does not raise it.
    """
    points = usable_points(table)
    order = np.argsort(column_of(table, "jd_utc")[points], kind="stable")
    flux, error = (column_of(table, name)[points][order] for name in ("flux_relative", "flux_relative_error"))
    steps = np.diff(flux) / np.hypot(error[1:], error[:-1])
    if steps.size < FEWEST_STEPS:
        return 1.0
    return float(max(1.0, robust_scatter(steps[None])[0]))


def differential(table: Table, points: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Magnitudes of relative fluxes and their errors, of these points."""
    flux, error = (column_of(table, name)[points] for name in ("flux_relative", "flux_relative_error"))
    return -2.5 * np.log10(flux), MAG_PER_LN * error / flux


def column_of(table: Table, name: str) -> Floats:
    """A column as float64[n], NaN where it is masked."""
    return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan))


def plain_text(value: Any) -> str:
    """Printable ASCII without what separates fields or starts a comment."""
    return "".join(c for c in str(value) if " " <= c <= "~" and c not in ",#|").strip()
