"""Quadratic limb darkening from a table of models (Claret's, LDTk's): by filter, temperature and gravity."""

from pathlib import Path

import numpy as np

from services.errors import ConfigurationError
from services.sky.catalogue.own_table import numbers_of, read_columns

COLUMNS = ("filter", "teff", "logg", "u", "v")
SETTING = "--limb-table"
KELVIN, DEX = 1000.0, 1.0  # that count alike when the nearest models are sought


def coefficients_of(path: Path, filter_name: str, teff: float, logg: float) -> tuple[float, float]:
    """u and v of a filter at a star's temperature (K) and gravity (log g, cgs), linear between models.

    Raises:
        ConfigurationError: the table cannot be read, has no such filter, or no models around the star.
    """
    where = f"{SETTING} {str(path)!r}"
    columns = read_columns(path, SETTING)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ConfigurationError(f"{where} has no column {', '.join(missing)}: expected {', '.join(COLUMNS)}")
    names = np.array([str(name).strip() for name in columns["filter"]])
    chosen = names == filter_name
    if not chosen.any():
        raise ConfigurationError(
            f"{where} has no filter {filter_name!r}: it has {', '.join(sorted(set(names.tolist())))}"
        )
    values = np.column_stack([numbers_of(columns, name, where) for name in COLUMNS[1:]])
    models = values[chosen & np.isfinite(values).all(axis=1)]
    at = np.array([[teff / KELVIN, logg / DEX]])
    places = models[:, :2] / (KELVIN, DEX)
    exact = np.hypot(*(places - at).T) < 1e-9
    if exact.any():
        u, v = models[exact][0, 2:]
        return float(u), float(v)
    found = _between(places, models[:, 2:], at)
    if found is None:
        raise ConfigurationError(
            f"{where} has no models of filter {filter_name} around Teff {teff:g} K, log g {logg:g}: give them "
            f"(--limb-darkening {filter_name}=U,V)"
        )
    return found


def _between(places: np.ndarray, values: np.ndarray, at: np.ndarray) -> tuple[float, float] | None:
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    for axis in (0, 1):  # models of one temperature or one gravity are a line, not an area
        if np.ptp(places[:, axis]) < 1e-9 and abs(places[0, axis] - at[0, axis]) < 1e-9:
            other = 1 - axis
            order = np.argsort(places[:, other])
            if not places[order[0], other] <= at[0, other] <= places[order[-1], other]:
                return None
            u, v = (np.interp(at[0, other], places[order, other], values[order, one]) for one in (0, 1))
            return float(u), float(v)
    try:
        u, v = LinearNDInterpolator(places, values)(at)[0]
    except (QhullError, ValueError):
        return None
    return (float(u), float(v)) if np.isfinite(u) and np.isfinite(v) else None
