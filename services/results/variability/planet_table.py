"""What a table says of a planet: ExoClock's own file, or a table with the same names of columns.

ExoClock's is JSON, an object a planet (https://www.exoclock.space/database/planets_json), which an operator fetches.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.transit.ephemeris import Ephemeris
from pipeline.transit.joint_priors import Known
from services.errors import ConfigurationError, TianyuError
from services.results.positions import parse_radec
from services.sky.catalogue.own_table import read_columns

BYTES_MOST = 64_000_000
NAMES_SHOWN = 8
DAYS = {"": 1.0, "days": 1.0, "day": 1.0, "d": 1.0, "hours": 1.0 / 24.0, "hour": 1.0 / 24.0, "h": 1.0 / 24.0}
DEFAULT_AXIS_ERROR, DEFAULT_INCLINATION_ERROR = 0.05, 0.5  # relative; degrees: where a table tells no error
MOST_ECCENTRIC = 0.1  # beyond which a circular orbit's shape is wrong
SETTING = "--planets"


@dataclass(frozen=True)
class PlanetFacts:
    """One planet; times are BJD (TDB). What a table does not tell is None."""

    name: str
    ra_deg: float | None
    dec_deg: float | None
    ephemeris: Ephemeris
    axis_ratio: Known | None
    inclination_deg: Known | None
    eccentricity: float
    teff: float | None
    logg: float | None

    @property
    def impact(self) -> Known | None:
        """a cos i, with the errors of both."""
        if self.axis_ratio is None or self.inclination_deg is None:
            return None
        angle, error = math.radians(self.inclination_deg.value), math.radians(self.inclination_deg.error)
        value = self.axis_ratio.value * abs(math.cos(angle))
        wrong = math.hypot(self.axis_ratio.error * math.cos(angle), self.axis_ratio.value * math.sin(angle) * error)
        return Known(value, wrong)


def read_planet(path: Path, name: str) -> PlanetFacts:
    """The planet of this name; capitals, blanks and dashes do not count.

    Raises:
        ConfigurationError: the file cannot be read, has no such planet, or lacks or misstates what a fit needs.
    """
    rows = _json(path) if path.suffix.lower() == ".json" else _table(path)
    found = [row for key, row in rows if _bare(key) == _bare(name)]
    if len(found) != 1:
        near = [key for key, _ in rows if _bare(name)[:4] in _bare(key)] or [key for key, _ in rows]
        shown = ", ".join(near[:NAMES_SHOWN]) or "none"
        many = "no planet" if not found else f"{len(found)} planets"
        raise ConfigurationError(f"{SETTING} {str(path)!r} has {many} named {name!r}; it has {shown}, …")
    return _facts(found[0], f"{SETTING} {str(path)!r}, planet {name!r}", name)


def _json(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MOST + 1)
        if len(content) > BYTES_MOST:
            raise ConfigurationError(
                f"{SETTING} {str(path)!r} has more than {BYTES_MOST // 1_000_000} MB: expected planets"
            )
        data = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{SETTING} {str(path)!r} cannot be read as JSON: {error}") from error
    rows = data.items() if isinstance(data, dict) else ()
    planets: list[tuple[str, Mapping[str, Any]]] = [
        (str(row.get("name") or key), row) for key, row in rows if isinstance(row, dict)
    ]
    if not planets:
        raise ConfigurationError(
            f"{SETTING} {str(path)!r} holds no planets: expected an object a planet, as in ExoClock's planets_json"
        )
    return planets


def _table(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    columns = read_columns(path, SETTING)
    if "name" not in columns:
        raise ConfigurationError(
            f"{SETTING} {str(path)!r} has no column 'name'; found: {', '.join(list(columns)[:12])}"
        )
    return [
        (str(columns["name"][row]), {key: values[row] for key, values in columns.items()})
        for row in range(len(columns["name"]))
    ]


def _facts(row: Mapping[str, Any], where: str, name: str) -> PlanetFacts:
    kind = str(row.get("ephem_mid_time_format") or "BJD_TDB").upper().replace("-", "_").replace(" ", "_")
    if kind not in ("BJD_TDB", "BJDTDB"):
        raise ConfigurationError(
            f"{where}: ephem_mid_time_format is {kind!r}, expected BJD_TDB: convert the time first"
        )
    unit = str(row.get("ephem_period_units") or "").strip().lower()
    if unit not in DAYS:
        raise ConfigurationError(f"{where}: ephem_period_units is {unit!r}, expected days or hours")
    mid, period = _number(row, "ephem_mid_time", where), _number(row, "ephem_period", where)
    if mid is None or period is None or period <= 0 or mid < 2_400_000:
        raise ConfigurationError(
            f"{where}: ephem_mid_time is {mid}, ephem_period {period}: expected a whole BJD (TDB) and days above zero"
        )
    eccentricity = _number(row, "eccentricity", where) or 0.0
    angle_unit = str(row.get("inclination_units") or "degrees").lower()
    if not angle_unit.startswith("deg"):
        raise ConfigurationError(f"{where}: inclination_units is {angle_unit!r}, expected degrees")
    axis, inclination = _number(row, "sma_over_rs", where), _number(row, "inclination", where)
    if axis is not None and axis <= 1.0:
        raise ConfigurationError(f"{where}: sma_over_rs is {axis:g}, expected more than 1")
    if inclination is not None and not 0.0 < inclination < 180.0:
        raise ConfigurationError(f"{where}: inclination is {inclination:g}, expected degrees between 0 and 180")
    ra, dec = _place(row, where)
    days = DAYS[unit]
    return PlanetFacts(
        name=str(row.get("name") or name),
        ra_deg=ra,
        dec_deg=dec,
        ephemeris=Ephemeris(
            mid,
            _error(row, "ephem_mid_time", where) or 0.0,
            period * days,
            (_error(row, "ephem_period", where) or 0.0) * days,
        ),
        axis_ratio=None
        if axis is None
        else Known(axis, _error(row, "sma_over_rs", where) or DEFAULT_AXIS_ERROR * axis),
        inclination_deg=None
        if inclination is None
        else Known(inclination, _error(row, "inclination", where) or DEFAULT_INCLINATION_ERROR),
        eccentricity=eccentricity,
        teff=_number(row, "teff", where),
        logg=_number(row, "logg", where),
    )


def _place(row: Mapping[str, Any], where: str) -> tuple[float | None, float | None]:
    ra, dec = row.get("ra_j2000"), row.get("dec_j2000")
    if _is_empty(ra) or _is_empty(dec):
        return None, None
    try:
        return parse_radec(f"{ra},{dec}")
    except (TianyuError, ValueError) as error:
        raise ConfigurationError(f"{where}: place {ra!r}, {dec!r} cannot be read: {error}") from error


def _number(row: Mapping[str, Any], name: str, where: str) -> float | None:
    value = row.get(name)
    if _is_empty(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: {name} is {value!r}, expected a number") from error
    return number if math.isfinite(number) else None


def _error(row: Mapping[str, Any], name: str, where: str) -> float | None:
    """The greater of what a table says above and below; None where it says nothing, or zero."""
    sides = [_number(row, f"{name}{end}", where) for end in ("_e1", "_e2", "_e", "_error")]
    given = [abs(side) for side in sides if side]
    return max(given) if given else None


def _is_empty(value: Any) -> bool:
    return value is None or str(value).strip() in ("", "--", "nan", "None", "null")


def _bare(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
