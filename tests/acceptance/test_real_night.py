"""The transit of HAT-P-32 b of 2017 December 20, as a six-inch telescope saw it, without calibration frames."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.image import imread
from numpy.typing import NDArray
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from pipeline.sky.astrometry import separation_arcsec
from pipeline.transit import TrapezoidFit, fit_trapezoid
from services.results.lightcurves.aavso import Submission
from services.results.lightcurves.export import WRITERS, write_file
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from tests.acceptance.measured_night import PLOTS, MeasuredNight, read_night
from tests.acceptance.programs import Programs

HOST_XY = (424.0, 286.0)  # 0-based pixels of the first frame
HOST_RADEC = (31.0428, 46.6878)  # ICRS, degrees
HOST_ARCSEC = 2.0
SCALE_ARCSEC, SCALE_TOLERANCE = 5.165, 0.01  # of a pixel
EPOCH_BJD_TDB = 2458107.71104  # of mid-transit, from the published ephemeris
DEPTH = (0.018, 0.030)  # 2.2 % in white light, of a star that shares its pixels with a fainter neighbour
MID_TIME_MINUTES = 6.0
SCATTER = 0.009  # a point, about the fitted transit
RADIUS_RATIO = 0.1489  # published
LOG_BAYES_FACTOR = 50.0
RESIDUAL = 0.0047  # a point, about the Bayesian fit
BEST_STARS = 0.0077  # median scatter of the hundred best, 0.0075 by any version so far
FRAMES = 142
BRIGHT_SNR = 30.0  # of a source on the template: single frames tell then whether it is there


@dataclass(frozen=True)
class Result:
    night: MeasuredNight
    plots: Path
    host: int  # source
    output: str


@pytest.fixture(scope="module")
def result(real_frames: Path, index_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The night by one command that is told where the host is on the sky, and no pixel."""
    work = tmp_path_factory.mktemp("real") / "work"
    target = ",".join(f"{value:g}" for value in HOST_RADEC)
    done = Programs({"TIANYU_INDEX_DIR": str(index_folder)}, work.parent).run(
        "run", str(real_frames), "--workdir", str(work), "--consumers", "2", "--target", target
    )
    night = read_night(work)
    first = night.alignments[0]
    assert first is not None
    distance = np.hypot(*(night.xy - first.to_reference(np.array([HOST_XY]))).T)
    assert distance.min() < 2.0
    return Result(night, work / "plots" / str(night.observation), int(np.argmin(distance)), done.stdout + done.stderr)


def fit(result: Result, points: NDArray[np.bool_]) -> TrapezoidFit:
    """The trapezoid that fits the host's light curve in its best aperture."""
    night, host = result.night, result.host
    aperture = night.best[host]
    return fit_trapezoid(
        night.bjd[points] - EPOCH_BJD_TDB,
        night.relative[host, points, aperture],
        night.error[host, points, aperture],
        mid_time_guess=0.0,
    )


def test_nearly_all_frames_are_good(result: Result) -> None:
    assert result.night.good.size == FRAMES
    assert result.night.good.sum() >= 0.95 * FRAMES
    assert all(result.night.reasons[index] for index in np.flatnonzero(~result.night.good))


@pytest.mark.parametrize("flagged", [False, True])
def test_the_transit_is_where_and_as_deep_as_published(result: Result, flagged: bool) -> None:
    """On the unflagged points, and on all points of good frames."""
    night = result.night
    points = night.good & np.isfinite(night.in_best(night.relative)[result.host])
    if not flagged:
        points &= night.clean()[result.host]
    assert points.sum() >= 0.85 * FRAMES
    found = fit(result, points)
    assert DEPTH[0] < found.depth < DEPTH[1]
    assert abs(found.mid_time) * 1440 < MID_TIME_MINUTES
    assert found.residual_scatter < SCATTER
    assert found.depth > 8 * found.depth_error


def test_unflagged_points_scatter_no_more_than_their_bulk(result: Result) -> None:
    """A plain standard deviation, which one spoilt point would double: what is spoilt is flagged."""
    points = result.night.clean()[result.host]
    found = fit(result, points)
    residuals = result.night.in_best(result.night.relative)[result.host, points] / found.model - 1
    assert residuals.std() < SCATTER


def test_the_best_stars_are_good_to_half_a_percent(result: Result) -> None:
    night = result.night
    flux = np.where(night.clean(), night.in_best(night.relative), np.nan)
    measured = np.isfinite(flux).sum(axis=1) >= 0.85 * night.good.sum()
    scatter = 1.4826 * np.nanmedian(np.abs(flux[measured] - np.nanmedian(flux[measured], axis=1)[:, None]), axis=1)
    assert np.sort(scatter)[:5].max() < 0.005
    assert np.median(np.sort(scatter)[:20]) < 0.006


def test_the_best_hundred_stars_stay_as_good(result: Result) -> None:
    night = result.night
    flux = np.where(night.in_best(night.usable), night.in_best(night.relative), np.nan)
    flux = flux[np.isfinite(flux).sum(axis=1) > 100]
    scatter = 1.4826 * np.nanmedian(np.abs(flux - np.nanmedian(flux, axis=1)[:, None]), axis=1)
    assert np.median(np.sort(scatter)[:100]) < BEST_STARS


def test_no_cosmic_ray_is_seen_on_the_host(result: Result) -> None:
    """None hits it in truth; its core, sharper than its surroundings, once looked like one."""
    night = result.night
    assert not ((night.flag[result.host] & int(Flag.COSMIC_RAY)) > 0).any()


@pytest.mark.parametrize("name", WRITERS)
def test_every_export_takes_the_host(result: Result, tmp_path: Path, name: str) -> None:
    """It is deblended from a neighbour on its template, which spoils no point of it."""
    engine = create_engine(f"sqlite:///{result.plots.parents[1] / 'tianyu.db'}")
    with Session(engine) as session:
        observation = find_observation(session)
        star = find_source(session, observation, source_id=int(result.night.source[result.host]))
        curve = read_light_curve(session, observation, star)
    write_file(curve.table, tmp_path / "star", name, Submission("ABC", "HAT-P-32"))
    assert curve.usable.sum() >= 0.85 * FRAMES
    assert (tmp_path / "star").stat().st_size > 25 * curve.usable.sum()  # a time and a flux at least


def test_sources_move_with_the_sky(result: Result) -> None:
    """A hot pixel shines where the sky carries its track across it, a star all night: from its first third to its last.

    The sky moves by 270 pixels during the night, so that no pixel serves a source in both.
    """
    night = result.night
    good = np.flatnonzero(night.good)
    thirds = good[: good.size // 3], good[-(good.size // 3) :]
    aperture = 1
    bright = night.template_flux > BRIGHT_SNR * night.template_error
    seen = [np.isfinite(night.raw[:, third, aperture]).mean(axis=1) > 0.5 for third in thirds]
    chosen = bright & seen[0] & seen[1]
    early, late = (np.nanmedian(night.raw[chosen][:, third, aperture], axis=1) for third in thirds)
    assert chosen.sum() > 300
    steady = (early > 0) & (late > 0.6 * early) & (late < early / 0.6)
    assert steady.mean() > 0.95


def test_the_night_is_solved_and_the_host_is_where_it_is_on_the_sky(result: Result) -> None:
    x, y = result.night.xy[result.host].tolist()
    with closing(sqlite3.connect(result.plots.parents[1] / "tianyu.db")) as database:
        solutions = database.execute("SELECT solved, pixel_scale_arcsec, matches FROM plate_solution").fetchall()
        nearest = "SELECT source_id, ra, dec FROM source_catalog ORDER BY ABS(x - ?) + ABS(y - ?) LIMIT 1"
        [(source_id, ra, dec)] = database.execute(nearest, (x, y)).fetchall()
        late = "SELECT MAX(ABS(bjd_tdb_source - bjd_tdb)) * 86400 FROM light_curve WHERE source_id = ?"
        [(seconds,)] = database.execute(late, (source_id,)).fetchall()
    [(solved, scale, matches)] = solutions
    assert solved == 1
    assert scale == pytest.approx(SCALE_ARCSEC, abs=SCALE_TOLERANCE)
    assert matches >= 25
    assert separation_arcsec(np.array([[ra, dec]]), np.array([HOST_RADEC]))[0] < HOST_ARCSEC
    assert 0.0 < seconds < 5.0  # it stands some arcminutes from the field's centre
    assert f"the target is source {source_id} " in " ".join(result.output.split())


def test_a_calibrated_frame_tells_its_wcs_to_any_tool(result: Result) -> None:
    """astropy finds the host where the night's alignment puts it."""
    work = result.plots.parents[1]
    paths = sorted((work / "calibrated").rglob("*.fits"))[:: FRAMES // 5]
    for path in paths:
        x, y = WCS(fits.getheader(path)).world_to_pixel_values(*HOST_RADEC)
        stars = fits.getdata(path, "STARS")
        assert np.hypot(stars["x"] - x, stars["y"] - y).min() * SCALE_ARCSEC < HOST_ARCSEC, path.name


@pytest.mark.parametrize("name", PLOTS)
def test_plots_are_pictures(result: Result, name: str) -> None:
    picture = imread(result.plots / name)
    assert min(picture.shape[:2]) >= 400
    assert picture[..., :3].std() > 0.02, "the picture is blank"


def test_the_run_says_what_it_lacked(result: Result) -> None:
    said = " ".join(result.output.split())
    assert "calibrated without bias, dark, flat" in said
    assert "no header tells the gain: by the night's sky it is" in said


def test_errors_without_a_told_gain_are_right_to_a_quarter(result: Result) -> None:
    """Of stars of like brightness, from the brightest hundred to where the sky alone decides."""
    query = """
        SELECT s.flux_median, s.scatter, s.error_median FROM light_curve_statistics s
        JOIN observation o ON o.analysis_pid = s.pid WHERE s.best_aperture AND s.scatter IS NOT NULL
    """
    with sqlite3.connect(result.plots.parents[1] / "tianyu.db") as connection:
        table = np.array(connection.execute(query).fetchall(), dtype=np.float64)
    table = table[np.argsort(-table[:, 0])]
    for start in range(0, 900, 100):
        ratio = np.median(table[start : start + 100, 1] / table[start : start + 100, 2])
        assert 0.75 < ratio < 1.25, start


def test_transit_finds_what_was_published(result: Result) -> None:
    """Mid-time and radius ratio within the fit's 95 %, without being told where to look."""
    work = result.plots.parents[1]
    settings = {"TIANYU_DATABASE_URL": f"sqlite:///{work / 'tianyu.db'}", "TIANYU_ROOT": str(work)}
    target = ",".join(f"{value:g}" for value in HOST_RADEC)
    folder = work / "transit"
    done = Programs(settings, work).run("transit", "--target", target, "--json", "--output", str(folder))
    found = json.loads(done.stdout)
    assert found["log_bayes_factor"] > LOG_BAYES_FACTOR
    for name, published in (("mid_time", EPOCH_BJD_TDB), ("radius_ratio", RADIUS_RATIO)):
        error = 0.5 * (found[name]["upper"] - found[name]["lower"])
        assert abs(found[name]["median"] - published) < 2.0 * error
    assert found["residual_scatter"] <= RESIDUAL
    assert found["points"] >= 0.85 * FRAMES
    names = {"transit.ecsv", "transit.json", "transit.png", "corner.png", "exoclock.txt", "etd.txt"}
    assert {path.name for path in folder.iterdir()} == names
    assert len((folder / "exoclock.txt").read_text().splitlines()) >= 0.85 * FRAMES


def test_the_host_leads_the_list_of_variables(result: Result) -> None:
    """It is among the first 2 %: without flats many bright stars drift by as much as the transit is deep."""
    work = result.plots.parents[1]
    settings = {"TIANYU_DATABASE_URL": f"sqlite:///{work / 'tianyu.db'}", "TIANYU_ROOT": str(work)}
    target = ",".join(f"{value:g}" for value in HOST_XY)
    done = Programs(settings, work).run("analyze", str(result.night.observation), "--target", target, "--json")
    [host] = json.loads(done.stdout)["stars"]
    assert host["rank"] <= 0.02 * result.night.xy.shape[0]
    assert host["box_depth"] == pytest.approx(0.022, abs=0.004)
