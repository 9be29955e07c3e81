"""Light at places where nothing was found: stars below the detection limit of a simulated night, and empty sky."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tianyu as tianyu_client
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.trials.simulation.truth import Truth
from services.engine.publisher.publish import Publisher
from services.results.lightcurves.observation_facts import observation_facts
from services.results.plots import forced_plot, make_plots
from services.results.plots.forced_plot import draw_forced
from services.results.plots.style import save
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance import own_process
from tests.acceptance.shared_sky import SKY
from tests.integration.command_line import tianyu
from tests.integration.json_keys import check
from tests.integration.small_night import Night
from tests.integration.web.asking import asking
from tests.integration.web.conftest import listening

# A sparse sky: in a dense one the annulus holds the light of stars that nobody found, and empty places are below it.
SPEC: dict[str, Any] = {
    **SKY,
    "shape": (420, 420),
    "n_frames": 24,
    "sky_density": 700.0,
    "sky_separation_arcsec": 8.0,
    "sky_faintest_mag": 23.0,
    "exposure_s": 40.0,
    "cadence_s": 120.0,
    "seed": 3,
}
FAINT_MAG = 20.8  # a signal to noise of at most 0.8 a frame; the stack of all needs 1 a frame to show a star
FRAME_MAG = (19.2, 20.2)  # the stack shows these, a frame at a signal to noise of 1.4 to 3.5
MARGIN_PX = 30.0
ALONE_ARCSEC = 14.0
STARS_ALONE_ARCSEC = 10.0  # two and a half of the largest aperture's radii
FAR, BRIGHT, BESIDE, MOVING = "far away", "a bright star", "beside it", "moving there"
BESIDE_ARCSEC = 4.0
EMPTY = 60

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forced:
    """The night, what is truly at each place, and what the view has."""

    night: Night
    truth: Truth
    raw: Path
    star: dict[str, int]  # by name of the place, where a star is there
    bright: int
    points: list[dict[str, Any]]

    def of(self, name: str, aperture: int = 0) -> list[dict[str, Any]]:
        return [one for one in self.points if one["target"] == name and one["aperture"] == aperture]


def _alone(truth: Truth, radec: Floats) -> Floats:
    """Distance of the nearest star that is not there itself, arcsec."""
    stars = np.column_stack([truth.stars.ra, truth.stars.dec])
    away = np.array([separation_arcsec(np.array([place]), stars) for place in radec])
    away[away < 0.1] = np.inf
    return np.asarray(away.min(axis=1))


def _places(truth: Truth) -> tuple[list[str], dict[str, int], int]:
    stars, (ny, nx) = truth.stars, truth.spec.shape
    inside = np.ones(stars.id.size, dtype=bool)
    for i in range(truth.spec.n_frames):
        x, y = truth.positions(i)
        inside &= (np.minimum(x, nx - 1 - x) > MARGIN_PX) & (np.minimum(y, ny - 1 - y) > MARGIN_PX)
    radec = np.column_stack([stars.ra, stars.dec])
    alone = _alone(truth, radec) > STARS_ALONE_ARCSEC
    faint = np.flatnonzero(inside & alone & (stars.g_mag > FAINT_MAG))
    bright = int(np.flatnonzero(inside & (stars.kind == "constant") & (stars.g_mag < 14.0))[0])
    shown = np.flatnonzero(inside & alone & (stars.g_mag > FRAME_MAG[0]) & (stars.g_mag < FRAME_MAG[1]))
    at = {f"star {number}": radec[number] for number in faint.tolist()}
    at |= {f"shown {number}": radec[number] for number in shown.tolist()}
    random = np.random.default_rng(8)
    low, high = radec[inside].min(axis=0), radec[inside].max(axis=0)
    while len(at) < faint.size + shown.size + EMPTY:
        place = random.uniform(low, high)
        if _alone(truth, place[None])[0] > ALONE_ARCSEC:
            at[f"empty {len(at)}"] = place
    ra, dec = radec[bright]
    at |= {FAR: np.array([ra + 1.0, dec]), BRIGHT: radec[bright], BESIDE: np.array([ra, dec + BESIDE_ARCSEC / 3600])}
    texts = [f"{name}={place[0]:.8f}d,{place[1]:.8f}d" for name, place in at.items()]
    # 100 arcsec to the south in the years since 2000: it is where the bright star is on this night.
    years = (truth.spec.start_jd - 2451545.0) / 365.25
    texts.append(f"{MOVING}={ra:.8f}d,{dec + 100 / 3600:.8f}d,0.0,{-100_000 / years:.4f}")
    return texts, {name: int(name.split()[1]) for name in at if name.startswith(("star", "shown"))}, bright


@pytest.fixture(scope="module")
def forced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forced]:
    folder = tmp_path_factory.mktemp("forced")
    raw = simulate(night_spec("demo", **SPEC), folder / "raw")
    truth, catalogue = read_truth(raw), raw / "truth" / "gaia.csv"
    own_process.reduce(raw, folder / "work", catalog_file=catalogue)
    places, star, bright = _places(truth)
    night = Night.open(folder / "work", catalog_file=catalogue, forced_places=tuple(places))
    with night.sessions.begin() as session:
        published = Publisher(session, night.settings).publish(night.observation())
    # All else is there: nothing of the night is computed again.
    assert published.runs() == {"force_places": 1, "force_fluxes": SPEC["n_frames"], "force_terms": 1}
    assert set(night.work()) == {"force_places", "force_fluxes", "force_terms"}
    points = _points(night)
    yield Forced(night, truth, raw, star, bright, points)
    night.sessions.kw["bind"].dispose()


def _points(night: Night) -> list[dict[str, Any]]:
    names = (
        *("target", "image_id", "jd_utc", "aperture", "aperture_best", "flux_raw", "flux_raw_error", "flux_forced"),
        *("flux_forced_error", "significance", "flux_limit", "mag", "mag_limit", "flag", "usable", "is_source"),
        *("nearest_source_id", "nearest_arcsec"),
    )
    rows = night.rows(f"SELECT {', '.join(names)} FROM forced_light_curve ORDER BY target, aperture, jd_utc")
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def shares(forced: Forced) -> dict[tuple[int, int], float]:
    """ADU of an electron in each aperture of each image, by the bright stars."""
    truth = forced.truth
    bright = np.flatnonzero((truth.stars.g_mag < 15.5) & (truth.stars.kind == "constant"))
    radec = np.column_stack([truth.stars.ra, truth.stars.dec])[bright]
    found: dict[tuple[int, int], list[float]] = {}
    rows = forced.night.rows(
        "SELECT s.ra_deg, s.dec_deg, l.image_id, l.aperture, l.flux_raw, l.jd_utc FROM light_curve l "
        "JOIN source s ON s.source_id = l.source_id WHERE l.flag = 0 AND l.image_good = 1 AND s.ra_deg IS NOT NULL"
    )
    nearest: dict[tuple[float, float], int | None] = {}
    for ra, dec, image, aperture, flux, jd in rows:
        if (ra, dec) not in nearest:
            away = separation_arcsec(np.array([[ra, dec]]), radec)
            nearest[ra, dec] = int(bright[away.argmin()]) if away.min() < 1.0 else None
        if (star := nearest[ra, dec]) is not None:
            found.setdefault((image, aperture), []).append(flux / truth.electrons(_frame(truth, jd))[star])
    assert min(map(len, found.values())) >= 2  # which agree to a percent
    return {key: float(np.median(values)) for key, values in found.items()}


def _frame(truth: Truth, jd: float) -> int:
    return int(np.argmin(np.abs(truth.frames.jd_mid - jd)))


@dataclass(frozen=True)
class Pulls:
    """Of usable points without neighbours in the aperture: pulls, and the share of limits k errors up that hold."""

    pulls: Floats
    above: dict[int, float]
    significance: Floats


def _pulls(forced: Forced, shares: dict[tuple[int, int], float], kind: str, aperture: int) -> Pulls:
    pulls, significance = [], []
    above: dict[int, list[bool]] = {1: [], 3: []}
    for one in forced.points:
        if not one["target"].startswith(kind) or one["aperture"] != aperture or not one["usable"]:
            continue
        if one["flag"] & Flag.CROWDED:
            continue
        star = forced.star.get(one["target"])
        true = 0.0
        if star is not None:
            electrons = forced.truth.electrons(_frame(forced.truth, one["jd_utc"]))[star]
            true = shares[one["image_id"], aperture] * float(electrons)
        flux, error = one["flux_raw"], one["flux_raw_error"]
        pulls.append((flux - true) / error)
        significance.append(one["significance"])
        for sigma, holds in above.items():
            holds.append(true < max(flux, 0.0) + sigma * error)
    return Pulls(np.array(pulls), {k: float(np.mean(v)) for k, v in above.items()}, np.array(significance))


@pytest.mark.parametrize("aperture", [0, 1, 2])
@pytest.mark.parametrize("kind", ["star", "empty"])
def test_flux_is_unbiased_and_its_error_true(
    forced: Forced, shares: dict[tuple[int, int], float], kind: str, aperture: int
) -> None:
    found = _pulls(forced, shares, kind, aperture)
    assert found.pulls.size > 600
    # Pixels of one place share their flat and dark: the mean of 30 places is known to 0.06.
    assert abs(found.pulls.mean()) < 0.15
    assert 0.95 < found.pulls.std() < 1.07


def test_limits_hold_as_often_as_they_say(forced: Forced, shares: dict[tuple[int, int], float]) -> None:
    found = _pulls(forced, shares, "shown", 0)
    assert found.above[3] > 0.99  # 99.87 % of a Gaussian
    assert found.above[1] == pytest.approx(0.841, abs=0.04)  # one error up, of which 3 are made
    for kind in ("star", "empty"):
        below = _pulls(forced, shares, kind, 0)
        assert np.mean(below.significance >= 3.0) < 0.02
        assert below.above[3] > 0.998
    for one in forced.points:
        assert (one["flux_limit"] is None) == (one["significance"] >= 3.0)
        assert one["flux_limit"] is None or one["flux_limit"] > 0.0
        assert not (one["mag"] and one["mag_limit"])


def test_the_mean_of_a_night_finds_light_that_no_frame_shows(
    forced: Forced, shares: dict[tuple[int, int], float]
) -> None:
    """The faint stars together: their summed flux over its error is what the truth says."""
    flux, true, variance = 0.0, 0.0, 0.0
    for name, star in forced.star.items():
        if not name.startswith("star"):
            continue
        for one in forced.of(name):
            electrons = forced.truth.electrons(_frame(forced.truth, one["jd_utc"]))[star]
            flux += one["flux_raw"]
            true += shares[one["image_id"], 0] * float(electrons)
            variance += one["flux_raw_error"] ** 2
    assert true / variance**0.5 > 5.0
    assert abs(flux - true) / variance**0.5 < 4.0


def test_forced_flux_of_a_star_is_that_of_its_source(forced: Forced) -> None:
    """Same apertures, sky, errors and reference stars: of a bright star both ways are one."""
    [source] = {one["nearest_source_id"] for one in forced.of(BRIGHT)}
    rows = forced.night.rows(
        "SELECT image_id, flux_raw, flux_raw_error, flux_relative FROM light_curve "
        "WHERE source_id = :source AND aperture = 1 ORDER BY jd_utc",
        source=source,
    )
    for name in (BRIGHT, MOVING):
        points = forced.of(name, 1)
        assert [one["image_id"] for one in points] == [row[0] for row in rows]
        assert all(one["is_source"] and not one["flag"] & Flag.CROWDED for one in points)
        assert [one["flux_raw"] for one in points] == pytest.approx([row[1] for row in rows], rel=1e-3)
        assert [one["flux_raw_error"] for one in points] == pytest.approx([row[2] for row in rows], rel=0.02)
        scaled = np.array([one["flux_forced"] for one in points])
        relative = np.array([row[3] for row in rows])
        assert scaled / np.median(scaled) == pytest.approx(relative / np.median(relative), abs=1.5e-3)


def test_what_stands_beside_a_star_is_called_crowded(forced: Forced) -> None:
    points = forced.of(BESIDE)
    assert points
    assert all(one["flag"] & Flag.CROWDED and not one["is_source"] for one in points)
    assert {round(one["nearest_arcsec"]) for one in points} == {round(BESIDE_ARCSEC)}
    assert all(one["flag"] & Flag.FORCED for one in forced.points)


def test_a_place_outside_says_so(forced: Forced) -> None:
    assert not forced.of(FAR)
    assert forced.night.rows("SELECT inside FROM forced_place WHERE name = :name", name=FAR) == [(0,)]


def test_the_same_list_again_computes_nothing_and_another_stands_beside_it(forced: Forced, tmp_path: Path) -> None:
    night = forced.night.copy(tmp_path / "again", catalog_file=forced.night.settings.catalog_file)
    with night.having(forced_places=forced.night.settings.forced_places).sessions.begin() as session:
        same = Publisher(session, forced.night.settings).publish(night.observation())
    assert not same.runs()
    other = night.having(forced_places=("another=5.0d,35.0d",))
    with other.sessions.begin() as session:
        added = Publisher(session, other.settings).publish(other.observation())
    assert Counter(added.runs()) == {"force_places": 1, "force_fluxes": SPEC["n_frames"], "force_terms": 1}
    other.work()
    names = {one["target"] for one in _points(other)}
    assert {"another", BRIGHT} < names
    night.sessions.kw["bind"].dispose()


def test_commands_tell_forced_fluxes_from_detections(
    forced: Forced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = forced.night.settings.root
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{work}/tianyu.db")
    monkeypatch.setenv("TIANYU_ROOT", str(work))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.csv").write_text(f"name,ra,dec\n{BRIGHT},1,2\n{FAR},1,2\nelse,1,2\n")
    done = tianyu("lightcurve", "--forced", "--targets", "names.csv", "--output", "x.fits")
    assert done.exit_code == 0, done.stderr
    table = Table.read(tmp_path / "x.fits")
    assert set(table["target"]) == {BRIGHT}
    assert table["forced"].all()
    targets = Table.read(tmp_path / "x.targets.csv", format="ascii.csv")
    assert list(targets["status"]) == ["measured", "outside", "not asked"]
    assert "forced" in done.stderr
    answer = tianyu("lightcurve", "--forced", "--json")
    found = json.loads(answer.stdout)
    assert {one["forced"] for one in found["forced_points"]} == {True}
    check("tianyu lightcurve --forced", found)


def test_a_plot_shows_flux_and_limits(forced: Forced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(forced_plot, "save", lambda figure, path: figures.append(figure) or save(figure, path))
    with forced.night.sessions() as session:
        facts = observation_facts(session, forced.night.observation())
        draw_forced(session, facts, tmp_path / "forced.png")
        written = make_plots(session, None, facts.observation_id, tmp_path / "plots")
    assert (tmp_path / "plots" / "forced.png") in written
    panels = figures[0].axes
    names = [one.get_title(loc="left") for one in panels[::2]]
    assert len(names) == forced_plot.PLACES_MOST
    for name, left, right in zip(names, panels[::2], panels[1::2], strict=True):
        points = [one for one in forced.of(name) if one["usable"]]
        drawn = {line.get_label(): line for line in right.get_lines()}
        limits = [one["mag_limit"] for one in points if one["mag_limit"] is not None]
        assert ("upper limit" in drawn) == bool(limits)
        if limits:
            assert drawn["upper limit"].get_marker() == "v"
            assert list(drawn["upper limit"].get_ydata()) == limits
            assert right.yaxis_inverted()
        fluxes = [list(one.lines[0].get_ydata()) for one in left.containers]
        assert fluxes == [[one["flux_forced"] for one in points]]


def test_lsdb_opens_the_catalogue_of_places(forced: Forced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lsdb  # 3 s and 300 MB: for the tests that need it
    from hats.io.validation import is_valid_catalog

    work = forced.night.settings.root
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{work}/tianyu.db")
    monkeypatch.setenv("TIANYU_ROOT", str(work))
    monkeypatch.chdir(tmp_path)
    done = tianyu("export", "--format", "forced-hats", "--output", "places")
    assert done.exit_code == 0, done.stderr
    names = {one["target"] for one in forced.points}
    assert f"{len(names)} places with {len(names) * SPEC['n_frames']} points of 1 observations" in done.stderr
    assert is_valid_catalog(tmp_path / "places", strict=True)
    catalog = lsdb.open_catalog(tmp_path / "places")
    rows = catalog.compute()
    assert len(rows) == len(names)  # none of the place outside of the field
    for target, points, curve in zip(rows["target"], rows["points"], rows["forced_light_curve"], strict=True):
        expected = [one for one in forced.points if one["target"] == target and one["aperture_best"]]
        assert points == len(expected) == len(curve) == SPEC["n_frames"]
        for name in ("image_id", "jd_utc", "flux_raw", "flux_forced", "significance", "usable"):
            assert list(curve[name]) == [one[name] for one in expected], name
        limits = [np.nan if one["flux_limit"] is None else one["flux_limit"] for one in expected]
        np.testing.assert_array_equal(curve["flux_limit"].astype(float), limits)
    ra, dec = forced.truth.stars.ra[forced.bright], forced.truth.stars.dec[forced.bright]
    near = catalog.cone_search(ra, dec, radius_arcsec=2.0).compute()
    assert set(near["target"]) == {BRIGHT, MOVING}
    limited = near["forced_light_curve.flux_limit"].isna()
    assert limited.all()
    again = tianyu("export", "--format", "forced-hats", "--output", ".")
    assert "choose a folder for the catalogue alone" in " ".join(again.stderr.split())


@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "http"])
def test_the_client_reads_them(forced: Forced, over_http: bool) -> None:
    settings = forced.night.settings
    if not over_http:
        _require_client(forced, tianyu_client.open(settings.root))
        return
    with listening(settings) as address:
        _require_client(forced, tianyu_client.open(address))


def _require_client(forced: Forced, results: tianyu_client.Results) -> None:
    ra, dec = forced.truth.stars.ra[forced.bright], forced.truth.stars.dec[forced.bright]
    found = results.forced([BRIGHT.upper(), (ra, dec), FAR, "nobody"], aperture=1)
    assert found["forced"].all()
    assert set(found["target"]) == {BRIGHT, MOVING}  # both lie there on this night
    expected = [one["flux_forced"] for one in forced.of(BRIGHT, 1) if one["usable"]]
    assert list(found[found["place"] == 0]["flux_forced"]) == expected
    assert found["flux_limit"].mask.all()
    assert {number: words.split()[0] for number, words in found.meta["missing"].items()} == {2: "it", 3: "nobody"}
    assert len(results.forced(observation=forced.night.observation(), aperture="all", usable_only=False)) == len(
        forced.points
    )
    assert results.light_curve((ra, dec), aperture=1)["source_id"][0] == forced.of(BRIGHT)[0]["nearest_source_id"]
    with pytest.raises(tianyu_client.NotFoundError, match="no source lies within"):
        results.light_curve((ra + 1.0, dec))


def test_the_page_of_the_night_calls_them_no_detections(forced: Forced) -> None:
    number = forced.night.observation()
    with asking(forced.night.settings) as client:
        page = client.get(f"/observation/{number}").text
        points = client.get(f"/observation/{number}/forced.csv").text
    section = page[page.index('<section id="forced">') :]
    assert "no detections" in section
    assert BRIGHT in section
    assert "outside of the field" in section
    assert len(Table.read(points, format="ascii.csv")) == len(forced.points)
    assert "gaia.csv" in page
    assert str(forced.raw) not in page  # the catalogue by its name alone


def test_frames_are_cut_out_where_each_shows_the_star(
    forced: Forced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = forced.night.settings.root
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{work}/tianyu.db")
    monkeypatch.setenv("TIANYU_ROOT", str(work))
    monkeypatch.chdir(tmp_path)
    number, source = str(forced.night.observation()), str(forced.of(BRIGHT)[0]["nearest_source_id"])
    done = tianyu("export", number, "--source", source, "--format", "cutouts", "--size", "24", "--output", "stamps")
    assert done.exit_code == 0, done.stderr
    files = sorted((tmp_path / "stamps").glob("*.fits"))
    assert len(files) == SPEC["n_frames"]
    ra, dec = forced.truth.stars.ra[forced.bright], forced.truth.stars.dec[forced.bright]
    for file in files:
        with fits.open(file) as opened:
            pixels, header = opened[0].data, opened[0].header
        y, x = np.unravel_index(int(np.nanargmax(pixels)), pixels.shape)
        assert max(abs(x - 12), abs(y - 12)) <= 1
        there = WCS(header).all_world2pix([[ra, dec]], 0)[0]
        assert there == pytest.approx((12, 12), abs=1.0)
    image = int(files[3].stem.split("-")[1])
    tianyu("export", number, "--source", source, "--frame", str(image), "--size", "24", "--output", "one.fits")
    assert (tmp_path / "one.fits").read_bytes() == files[3].read_bytes()
    strange = tianyu("export", number, "--source", source, "--frame", "999999", "--output", "no.fits")
    assert strange.exit_code != 0
    assert "no calibrated image 999999" in strange.stderr
