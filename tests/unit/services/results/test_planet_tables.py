"""What tables say of planets and of limb darkening, and what is said of tables that are wrong."""

import json
import math
from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.results.variability.limb_table import coefficients_of
from services.results.variability.planet_table import read_planet

# As ExoClock's planets_json has them.
HATP32 = {
    "name": "HAT-P-32b",
    "ra_j2000": "02:04:10.278",
    "dec_j2000": "+46:41:16.21",
    "ephem_mid_time": 2455867.402743,
    "ephem_mid_time_format": "BJD_TDB",
    "ephem_mid_time_e1": -4.9e-05,
    "ephem_mid_time_e2": 5.1e-05,
    "ephem_period": 2.15000815,
    "ephem_period_units": "Days",
    "ephem_period_e1": -1.2e-07,
    "ephem_period_e2": 1.3e-07,
    "rp_over_rs": 0.1489,
    "sma_over_rs": 6.04,
    "inclination": 88.98,
    "inclination_units": "Degrees",
    "eccentricity": 0.0,
    "teff": 6207.0,
    "logg": 4.33,
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "planets.json"
    row = {key: value for key, value in {**HATP32, **changes}.items() if value is not None}
    path.write_text(json.dumps({"HAT-P-32b": row, "WASP-12b": {**HATP32, "name": "WASP-12b"}}))
    return path


@pytest.mark.parametrize("name", ["HAT-P-32b", "hat-p-32 b", "HATP32b"])
def test_exoclocks_file_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    found = read_planet(write(tmp_path), name)
    assert (found.name, found.teff, found.logg) == ("HAT-P-32b", 6207.0, 4.33)
    assert found.ra_deg == pytest.approx(31.042825)
    assert found.dec_deg == pytest.approx(46.687836, abs=1e-6)
    by = found.ephemeris
    assert (by.mid_time, by.mid_time_error, by.period_error) == (2455867.402743, 5.1e-05, 1.3e-07)
    assert found.impact is not None
    assert found.impact.value == pytest.approx(6.04 * math.cos(math.radians(88.98)))


def test_hours_and_errors_that_are_missing(tmp_path: Path) -> None:
    changes = {
        "ephem_period": 51.6001956,
        "ephem_period_units": "hours",
        "ephem_period_e1": None,
        "ephem_period_e2": None,
    }
    found = read_planet(write(tmp_path, **changes, inclination=None, ra_j2000=None), "HAT-P-32b")
    assert found.ephemeris.period == pytest.approx(2.15000815)
    assert (found.ephemeris.period_error, found.impact, found.ra_deg) == (0.0, None, None)
    assert found.axis_ratio is not None
    assert found.axis_ratio.error == pytest.approx(0.05 * 6.04)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ephem_mid_time_format": "HJD_UTC"}, "expected BJD_TDB: convert the time"),
        ({"ephem_period": -1.0}, "expected a whole BJD"),
        ({"ephem_period": None}, "ephem_period None"),
        ({"ephem_mid_time": 55867.4}, "expected a whole BJD"),
        ({"ephem_period_units": "years"}, "expected days or hours"),
        ({"sma_over_rs": 0.5}, "expected more than 1"),
        ({"inclination": 270.0}, "between 0 and 180"),
        ({"sma_over_rs": "six"}, "expected a number"),
        ({"ra_j2000": "two hours"}, "cannot be read"),
    ],
)
def test_what_is_wrong_of_a_planet_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigurationError) as caught:
        read_planet(path, "HAT-P-32b")
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "HAT-P-32b" in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 1}', "[" * 100_000, "\x00"])
def test_files_that_hold_no_planets(tmp_path: Path, content: str) -> None:
    path = tmp_path / "planets.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"planets\.json"):
        read_planet(path, "HAT-P-32b")


TABLE = """filter,teff,logg,u,v
V,6000,4.0,0.40,0.30
V,6500,4.0,0.30,0.34
V,6000,4.5,0.42,0.28
V,6500,4.5,0.32,0.32
R,6000,4.0,0.30,0.31
"""


def test_limb_darkening_lies_between_models(tmp_path: Path) -> None:
    path = tmp_path / "limb.csv"
    path.write_text(TABLE)
    assert coefficients_of(path, "V", 6250.0, 4.25) == pytest.approx((0.36, 0.31))
    assert coefficients_of(path, "V", 6000.0, 4.5) == pytest.approx((0.42, 0.28))
    assert coefficients_of(path, "V", 6000.0, 4.25) == pytest.approx((0.41, 0.29))
    assert coefficients_of(path, "R", 6000.0, 4.0) == pytest.approx((0.30, 0.31))


@pytest.mark.parametrize(
    ("filter_name", "teff", "words"),
    [("V", 7000.0, "no models of filter V around"), ("R", 6100.0, "around Teff 6100"), ("B", 6000.0, "has R, V")],
)
def test_models_that_a_table_lacks(tmp_path: Path, filter_name: str, teff: float, words: str) -> None:
    path = tmp_path / "limb.csv"
    path.write_text(TABLE)
    with pytest.raises(ConfigurationError, match=words):
        coefficients_of(path, filter_name, teff, 4.2)


def test_a_table_without_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "limb.csv"
    path.write_text("filter,teff,u\nV,6000,0.4\n")
    with pytest.raises(ConfigurationError, match="no column logg, v"):
        coefficients_of(path, "V", 6000.0, 4.2)
