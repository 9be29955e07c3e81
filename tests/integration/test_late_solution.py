"""Measuring waits for no solution: a field that is solved late ends with the rows of one that was solved at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from services.sky.catalogue.own_table import FileCatalogue
from services.sky.solving.solution import Unsolved
from services.sky.solving.solvers import Solvers
from services.steps import crossmatch, solve, solve_later
from services.trials.simulate import night_spec, simulate
from tests.integration.small_night import LIGHT_CURVES, SPEC, Night

SKY: dict[str, Any] = {
    "shape": (200, 200),
    "n_frames": 5,
    "sky_seed": 8,
    "sky_density": 6000.0,
    "sky_separation_arcsec": 10.0,
    "sky_faintest_mag": 17.5,
    "pixel_scale": 1.3,
    "seeing": 3.2,
}
SOURCES = "SELECT source_id, x, y, ra_deg, dec_deg, healpix FROM source ORDER BY source_id"
FRAMES = "SELECT bjd_tdb, hjd_utc, jd_tdb, airmass, altitude_deg FROM frame_sight ORDER BY image_id"
NAMES = "SELECT source_id, match_rank, gaia_source_id, is_match FROM source_crossmatch ORDER BY 1, 2"
ZERO_POINTS = "SELECT aperture, zero_point, zero_point_error, stars FROM zero_point ORDER BY pid, image_id, aperture"
SKIES = "SELECT wcs, ra_deg, dec_deg, radius_deg, wcs_matches FROM sky"
PATHS = "SELECT path FROM image WHERE kind IN ('calibrated', 'template') ORDER BY kind, pid"
MAGNITUDES = "SELECT mag, mag_error FROM light_curve ORDER BY image_id, aperture, source_id"


def reduced(raw: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool) -> tuple[Night, list[str]]:
    """The night with the archive's stars at hand; `solve` has no time for them where the solution is to be late."""
    stars = FileCatalogue(raw / "truth" / "gaia.csv")

    def solvers(*_: object, patience_s: float | None = None) -> Solvers:
        return Solvers((), stars)

    with monkeypatch.context() as patch:
        for module in (solve, solve_later):
            patch.setattr(module, "open_solvers", solvers)
        patch.setattr(crossmatch, "open_catalogue", lambda *_: stars)
        if late:
            patch.setattr(solve, "solve_at_once", lambda *_: Unsolved("it takes too long"))
        night = Night.open(workdir, catalog="gaia")
        night.publish(raw)
        return night, night.work()


def test_a_late_solution_gives_the_rows_of_one_that_came_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = simulate(night_spec("demo", **SPEC | SKY), tmp_path / "night")
    first, _ = reduced(raw, tmp_path / "first", monkeypatch, late=False)
    later, order = reduced(raw, tmp_path / "later", monkeypatch, late=True)
    assert {row[0] for row in later.rows("SELECT DISTINCT status FROM process")} == {"succeeded"}
    assert later.rows("SELECT solved FROM plate_solution ORDER BY pid") == [(0,), (1,)]
    assert order.index("detect") < order.index("solve_archive") < order.index("crossmatch")
    assert len(later.rows(NAMES)) > 30
    assert len(later.rows(ZERO_POINTS)) > 5
    for query in (SOURCES, FRAMES, NAMES, SKIES, ZERO_POINTS, LIGHT_CURVES, MAGNITUDES):
        assert later.rows(query) == first.rows(query)
    corner = np.array([[3.0, 150.0]])
    for (one,), (other,) in zip(first.rows(PATHS), later.rows(PATHS), strict=True):
        places = [WCS(fits.getheader(night.settings.root / path)).all_pix2world(corner, 0)
                  for night, path in ((first, one), (later, other))]  # fmt: skip
        np.testing.assert_array_equal(*places)
    # Other programs have times and place from the header, those of the solved field.
    shown = [CCDData.read(later.settings.root / path) for (path,) in later.rows(PATHS) if path.startswith("calibrated")]
    sights = later.rows("SELECT bjd_tdb, airmass FROM frame_sight ORDER BY image_id")
    assert [(image.header["BJD_TDB"], image.header["AIRMASS"]) for image in shown] == sights
    middle = shown[0].wcs.pixel_to_world(99.5, 99.5)
    told = SkyCoord(shown[0].header["RA"], shown[0].header["DEC"], unit=("hourangle", "deg"))
    assert middle.separation(told).arcsec < 0.02
    [template] = [fits.getheader(later.settings.root / path) for (path,) in later.rows(PATHS) if "template" in path]
    assert template["NCOMBINE"] <= len(shown)
    assert template["TOTEXP"] == template["NCOMBINE"] * template["EXPTIME"]
    # What was found late serves later nights on this template, and parts that are made again.
    rerun = later.rerun("extract")
    [solved] = later.rows(
        f"SELECT solved FROM plate_solution WHERE pid IN ({','.join(map(str, rerun.taken_over.values()))})"
    )
    assert solved == (1,)
