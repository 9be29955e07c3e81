"""A night whose headers count longitudes to the west and do not say so: its times and airmasses are the truth's."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.io import fits
from astropy.time import Time
from numpy.typing import NDArray

from pipeline.trials.simulation.truth import Truth
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.programs import Programs

AIRMASS_WITHIN = 0.004  # the simulation takes directions of J2000 for those of date, a third of a degree away
ALTITUDE_WITHIN_DEG = 0.01
MS = 1e-3 / 86400  # d; the other sign would be off by up to 42 ms
SEEN = "SELECT jd_utc, airmass, altitude_deg, bjd_tdb FROM image WHERE kind = ? ORDER BY jd_utc"

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, Path]:
    folder = tmp_path_factory.mktemp("west")
    # An hour and a half: the airmass changes by enough to tell east from west, and one frame from the next.
    spec = night_spec("west", n_frames=8, cadence_s=700.0, n_bias=3, n_dark=3, n_flat=3)
    raw = simulate(spec, folder / "night")
    light = next(raw.glob(f"{spec.target}_*.fits"))
    assert fits.getheader(light)["SITELONG"] == "+71 29 06.00"
    Programs({}, folder).run("run", str(raw), "--workdir", str(folder / "work"), "--consumers", "1", "--no-plots")
    return read_truth(raw), folder / "work" / "tianyu.db"


def stored(database: Path, kind: str) -> Floats:
    with sqlite3.connect(database) as connection:
        return np.array(connection.execute(SEEN, (kind,)).fetchall(), dtype=np.float64)


@pytest.mark.parametrize("kind", ["light", "calibrated"])
def test_airmasses_and_times_are_those_of_the_place(night: tuple[Truth, Path], kind: str) -> None:
    truth, database = night
    jd, airmass, altitude, bjd = stored(database, kind).T
    spec = truth.spec
    np.testing.assert_allclose(jd, truth.frames.jd_mid, atol=MS, rtol=0)
    np.testing.assert_allclose(airmass, truth.frames.airmass, atol=AIRMASS_WITHIN, rtol=0)
    place = EarthLocation.from_geodetic(spec.longitude_deg, spec.latitude_deg, spec.elevation_m)
    time = Time(truth.frames.jd_mid, format="jd", scale="utc", location=place)
    field = SkyCoord(spec.ra_deg, spec.dec_deg, unit="deg")
    up = field.transform_to(AltAz(obstime=time, location=place)).alt.deg
    np.testing.assert_allclose(altitude, up, atol=ALTITUDE_WITHIN_DEG, rtol=0)
    late = time.light_travel_time(field, ephemeris="builtin")
    day = truth.frames.jd_mid[0]
    expected = (time.tdb.jd1 - day) + time.tdb.jd2 + late.to_value(u.day)
    np.testing.assert_allclose(bjd - day, expected, atol=MS, rtol=0)


def test_the_site_is_registered_where_it_is(night: tuple[Truth, Path]) -> None:
    truth, database = night
    with sqlite3.connect(database) as connection:
        [place] = connection.execute("SELECT longitude_deg, latitude_deg FROM obs_site").fetchall()
    assert place == pytest.approx((truth.spec.longitude_deg, truth.spec.latitude_deg), abs=1e-4)
