"""The catalogue is down, silent or talks nonsense: light curves are made, what they lack is said, and comes later."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.gaia_archive import archive
from tests.acceptance.programs import Programs
from tests.servers.daemon import free_port

NIGHT: dict[str, Any] = {
    "sky_seed": 8,
    "sky_density": 4000.0,
    "sky_separation_arcsec": 10.0,
    "sky_faintest_mag": 17.5,
    "shape": (300, 300),
    "n_frames": 7,
    "n_bias": 3,
    "n_dark": 3,
    "n_flat": 3,
    "n_trails": 0,
    "n_smeared": 0,
    "cloudy_fraction": 0.0,
    "pixel_scale": 1.3,
    "seeing": 3.2,
    "position_angle_deg": 144.0,
}
TIMEOUT_S = 1.0  # of the catalogue
BRIGHT_MAG = 15.0
MATCH_ARCSEC = 1.0
MOODS = {  # of the archive: what the failure must say
    "down": "cannot be reached",
    "stalling": "was silent for 1 s",
    "garbage": "being served tea",
}
LIGHT_CURVES = "SELECT source_id, image_id, aperture, flux_raw, flag FROM light_curve ORDER BY 1, 2, 3"


@dataclass
class Night:
    """A night that was run while the archive was in some mood."""

    mood: str
    raw: Path
    programs: Programs
    port: int
    first: subprocess.CompletedProcess[str]
    database: Path

    def rows(self, query: str) -> list[Any]:
        with sqlite3.connect(self.database) as connection:
            return connection.execute(query).fetchall()

    def failed(self) -> dict[str, str]:
        """Error of each failed process by its command."""
        query = """
        SELECT p.command, a.error FROM process p JOIN process_attempt a USING (pid)
        WHERE p.status = 'failed' ORDER BY a.attempt
        """
        return dict(self.rows(query))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(night_spec("demo", **NIGHT), tmp_path_factory.mktemp("sky") / "night")


@pytest.fixture(scope="module", params=MOODS)
def night(request: pytest.FixtureRequest, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    settings = {
        "TIANYU_CATALOG": "gaia",
        "TIANYU_CATALOG_URL": f"http://127.0.0.1:{port}/tap",
        "TIANYU_CATALOG_TIMEOUT_S": str(TIMEOUT_S),
        "TIANYU_INDEX_DIR": str(folder / "no-index-files"),
        "TIANYU_MAX_ATTEMPTS": "2",
        "TIANYU_BACKOFF_S": "0.2",
    }
    (folder / "no-index-files").mkdir()
    work = folder / "work"
    here = {"TIANYU_DATABASE_URL": f"sqlite:///{work / 'tianyu.db'}", "TIANYU_ROOT": str(work)}
    with ExitStack() as stack:
        if request.param != "down":
            stack.enter_context(archive(raw / "truth" / "gaia.csv", port, request.param))
        first = Programs(settings, folder).run(
            *("run", str(raw), "--workdir", str(work), "--consumers", "1", "--no-plots"), check=False
        )
    programs = Programs(settings | here, folder)
    yield Night(request.param, raw, programs, port, first, work / "tianyu.db")
    programs.stop()


def test_the_night_has_its_light_curves(night: Night) -> None:
    assert night.first.returncode == 0, night.first.stdout + night.first.stderr
    [(stars, points)] = night.rows(
        "SELECT COUNT(DISTINCT source_id), COUNT(*) FROM light_curve WHERE flux_relative > 0"
    )
    assert stars > 50
    assert points > 0.8 * stars * NIGHT["n_frames"]


def test_what_is_missing_is_said(night: Night) -> None:
    """By `run` at its end, by `status` and by the process itself: the catalogue's address and what it did."""
    failed = night.failed()
    assert failed
    assert set(failed) == {"solve_archive", "crossmatch"}
    assert MOODS[night.mood] in failed["solve_archive"]
    assert str(night.port) in failed["solve_archive"]
    assert MOODS[night.mood] in " ".join(night.first.stdout.split())
    told = json.loads(night.programs.run("status", "--json", check=False).stdout)
    assert MOODS[night.mood] in json.dumps(told)
    assert night.rows("SELECT COUNT(*) FROM light_curve WHERE mag IS NOT NULL") == [(0,)]


def test_names_and_magnitudes_come_when_the_catalogue_is_back(night: Night) -> None:
    """`retry --failed`, a manager and a consumer: the light curves stay, all else is completed."""
    before = night.rows(LIGHT_CURVES)
    with archive(night.raw / "truth" / "gaia.csv", night.port) as healthy:
        night.programs.run("retry", "--failed")
        night.programs.start("manager")
        night.programs.start("consumer")
        night.programs.run("status", "--wait")
        night.programs.stop()
        assert healthy.queries
    assert night.failed() == {}
    assert night.rows(LIGHT_CURVES) == before
    assert night.rows("SELECT DISTINCT status FROM process") == [("succeeded",)]
    check_names(night)
    [(bias, points)] = night.rows(
        "SELECT AVG(l.mag - c.gaia_g_mag), COUNT(*) FROM light_curve l JOIN source_catalog c USING (source_id) "
        f"WHERE l.aperture = 1 AND l.flag = 0 AND c.gaia_variable = 0 AND c.gaia_g_mag < {BRIGHT_MAG}"
    )
    assert points > 50
    assert abs(bias) < 0.01


def check_names(night: Night) -> None:
    """The bright stars in the middle of the field have their Gaia names, one source each."""
    truth = read_truth(night.raw)
    stars, (x, y) = truth.stars, truth.positions(0)
    ny, nx = truth.spec.shape
    inside = (np.minimum(x, nx - 1 - x) > 30) & (np.minimum(y, ny - 1 - y) > 30)
    wanted = stars.gaia_source_id[inside & (stars.g_mag < BRIGHT_MAG)].tolist()
    query = "SELECT gaia_source_id, ra, `dec` FROM source_catalog WHERE gaia_source_id IS NOT NULL"
    places = {name: (ra, dec) for name, ra, dec in night.rows(query)}
    assert len(wanted) > 8
    assert set(wanted) <= set(places)
    for name in wanted:
        [row] = np.flatnonzero(stars.gaia_source_id == name)
        ra, dec = places[name]
        east = (ra - stars.ra[row]) * np.cos(np.radians(dec)) * 3600
        assert np.hypot(east, (dec - stars.dec[row]) * 3600) < MATCH_ARCSEC
