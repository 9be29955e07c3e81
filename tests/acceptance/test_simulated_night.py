"""A night of known truth, made by the command a user types: the light curves are as good as the photons allow."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.flags import Flag
from pipeline.transit import fit_trapezoid
from pipeline.trials.simulation.conditions import to_reference
from pipeline.trials.simulation.truth import Truth
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.measured_night import PLOTS, MeasuredNight, read_night
from tests.acceptance.noise_floor import noise_floor
from tests.acceptance.programs import Programs

# Drifts of a seventh of the field, a degree of rotation, clouds, smeared frames, satellites, hot pixels, a dead column.
NIGHT = {
    "shape": (640, 640),
    "n_stars": 250,
    "n_frames": 48,
    "drift": (90.0, -60.0),
    "rotation_deg": 1.0,
    "n_smeared": 2,
    "n_trails": 2,
    "cosmic_rays": 10.0,
    "seed": 31,
}
COMPLETE_MAG = 14.5  # signal to noise 140 a frame
PRECISE_MAG = 14.0
MATCH_PX = 2.0
COVERED = 0.5  # of the good frames; stars seen in fewer are not asked for
CLOUDY_TRANSMISSION = 0.5  # light that a cloud lets through
MIDDLE_APERTURE = 1
MIN_EPOCHS = 20  # for a scatter that means something


@dataclass(frozen=True)
class Result:
    """The truth, what was measured, and which belongs to which."""

    truth: Truth
    night: MeasuredNight
    plots: Path
    frames: NDArray[np.int64]  # [t], of the truth, of each calibrated frame
    stars: NDArray[np.int64]  # [n], of the truth, nearest to each source
    distance: NDArray[np.float64]  # [n], px

    @property
    def real(self) -> NDArray[np.bool_]:
        return self.distance < MATCH_PX

    def constant(self, limit: float, aperture: int | None = None) -> NDArray[np.int64]:
        """Sources that are constant stars brighter than ``limit`` with enough unflagged values."""
        steady = self.truth.stars.kind[self.stars] == "constant"
        measured = self.night.clean(aperture).sum(axis=1) >= MIN_EPOCHS
        return np.flatnonzero(self.real & steady & measured & (self.truth.stars.mag[self.stars] < limit))

    def source_of(self, star: int) -> int:
        [source] = np.flatnonzero(self.real & (self.stars == star))
        return int(source)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("simulated")
    raw, work = folder / "night", folder / "work"
    simulate(night_spec("demo", **NIGHT), raw)
    Programs({}, folder).run("run", str(raw), "--workdir", str(work), "--consumers", "2")
    truth, night = read_truth(raw), read_night(work)
    frames = np.array([int(np.argmin(np.abs(truth.frames.jd_mid - jd))) for jd in night.jd])
    x, y = to_reference(night.xy[:, 0], night.xy[:, 1], truth.frames, int(frames[night.reference]), truth.spec.shape)
    # Every simulated star can be detected: the faintest has a signal to noise of 15 in one frame.
    tree = KDTree(np.column_stack([truth.stars.x, truth.stars.y]))  # type: ignore[no-untyped-call]
    distance, stars = tree.query(np.column_stack([x, y]))  # type: ignore[no-untyped-call]
    return Result(truth, night, work / "plots" / str(night.observation), frames, stars, distance)


def covered(result: Result) -> NDArray[np.float64]:
    """Share of the truth's good frames on which the smallest aperture around each star lies inside."""
    truth, room = result.truth, result.night.radii[0]
    ny, nx = truth.spec.shape
    inside = np.zeros(truth.stars.id.size)
    for i in np.flatnonzero(truth.frames.good):
        x, y = truth.positions(int(i))
        inside += (np.minimum(x + 0.5, nx - 0.5 - x) >= room) & (np.minimum(y + 0.5, ny - 0.5 - y) >= room)
    return np.asarray(inside / truth.frames.good.sum())


def test_good_frames_are_kept(result: Result) -> None:
    kept = set(result.frames[result.night.good].tolist())
    good = set(np.flatnonzero(result.truth.frames.good).tolist())
    assert len(kept & good) >= 0.95 * len(good)


def test_cloudy_and_smeared_frames_are_rejected_with_a_reason(result: Result) -> None:
    truth = result.truth
    # Extinction and jitter are no cloud: what is left of them is the cloud's own transmission.
    clear = 10 ** (-0.4 * truth.spec.extinction * (truth.frames.airmass - 1))
    bad = truth.frames.is_smeared | (truth.frames.transparency / clear < CLOUDY_TRANSMISSION)
    assert bad.sum() >= 4
    of_frame = {int(frame): index for index, frame in enumerate(result.frames)}
    for i in np.flatnonzero(bad):
        assert not result.night.good[of_frame[int(i)]], f"frame {i} was kept"
        assert result.night.reasons[of_frame[int(i)]]


def test_trails_are_flagged_where_satellites_crossed(result: Result) -> None:
    """On the frames with a trail and no other: so are the fluxes of the stars that it crosses, of few stars in all."""
    night = result.night
    crossed = result.truth.frames.has_trail[result.frames]
    assert crossed.sum() == NIGHT["n_trails"]
    np.testing.assert_array_equal(night.trails > 0, crossed)
    flagged = (night.flag[:, :, MIDDLE_APERTURE] & Flag.TRAIL) > 0
    assert not flagged[:, ~crossed].any()
    assert (flagged[:, crossed].mean(axis=0) > 0.005).all()
    assert (flagged[:, crossed].mean(axis=0) < 0.1).all()


def test_cosmic_rays_are_told_from_hot_pixels(result: Result) -> None:
    """Ten hits a frame of one to eight pixels are some 45 pixels, of which the faintest are not seen; hot ones 200."""
    assert 20 < np.median(result.night.cosmic_rays[result.night.good]) < 60


def test_transparency_is_that_of_the_night(result: Result) -> None:
    """To 1 % of the true light of the aligned frames; the smeared ones have other isophotes."""
    night, frames = result.night, result.truth.frames
    true = frames.transparency[result.frames]
    known = np.isfinite(night.transparency) & ~frames.is_smeared[result.frames]
    ratio = night.transparency[known] / true[known]
    assert known.mean() > 0.8
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.01


def test_frames_are_aligned_to_a_tenth_of_a_pixel(result: Result) -> None:
    truth, night = result.truth, result.night
    reference = np.column_stack(truth.positions(int(result.frames[night.reference])))
    ny, nx = truth.spec.shape
    seen = ((reference > 0) & (reference < (nx, ny))).all(axis=1)
    for index in np.flatnonzero(night.good):
        alignment = night.alignments[index]
        assert alignment is not None
        expected = np.column_stack(truth.positions(int(result.frames[index])))
        off = np.hypot(*(alignment.to_frame(reference[seen]) - expected[seen]).T)
        assert off.max() < 0.1, f"frame {result.frames[index]}"


def test_bright_stars_have_light_curves(result: Result) -> None:
    """97 % of the stars brighter than 14.5 that lie in view on half of the good frames."""
    night = result.night
    expected = np.flatnonzero((result.truth.stars.mag < COMPLETE_MAG) & (covered(result) >= COVERED))
    measured = np.isfinite(night.relative[:, night.good]).any(axis=2).mean(axis=1) >= COVERED
    found = set(result.stars[result.real & measured].tolist())
    missing = [int(star) for star in expected if star not in found]
    assert expected.size >= 30
    assert len(missing) <= 0.03 * expected.size, f"stars {missing}"


def test_sources_are_stars(result: Result) -> None:
    assert result.real.mean() >= 0.95
    matched = result.stars[result.real]
    assert np.unique(matched).size == matched.size, "a star was found twice"


@pytest.mark.parametrize("aperture", [0, 1, 2, None])
def test_scatter_is_what_the_photons_allow(result: Result, aperture: int | None) -> None:
    """Within 1.25 of the CCD equation in the median, in each aperture and in each star's best (None)."""
    chosen = result.constant(PRECISE_MAG, aperture)
    assert chosen.size >= 15
    night = result.night
    radii = night.radii[night.best[chosen]] if aperture is None else np.full(chosen.size, night.radii[aperture])
    flux = (night.in_best(night.relative) if aperture is None else night.relative[:, :, aperture])[chosen]
    clean = night.clean(aperture)[chosen]
    scatter = np.nanstd(np.where(clean, flux, np.nan), axis=1, ddof=1)
    floor = np.empty(flux.shape)
    for radius in np.unique(radii):
        rows = radii == radius
        floor[rows] = noise_floor(result.truth, result.stars[chosen[rows]], result.frames, radius)
    expected = np.sqrt(np.nanmean(np.where(clean, floor, np.nan) ** 2, axis=1))
    ratio = float(np.median(scatter / expected))
    assert 0.9 < ratio < 1.25


@pytest.mark.parametrize(("brighter", "fainter"), [(14.0, 0.0), (16.0, 14.0), (17.5, 16.0)])
def test_quoted_errors_tell_the_scatter(result: Result, brighter: float, fainter: float) -> None:
    """Within 20 % in the median; four stars of five within a factor of 1.6, the rest has changing neighbours."""
    night = result.night
    chosen = result.constant(brighter, MIDDLE_APERTURE)
    chosen = chosen[result.truth.stars.mag[result.stars[chosen]] >= fainter]
    clean = night.clean(MIDDLE_APERTURE)[chosen]
    flux, error = (np.where(clean, cube[chosen, :, MIDDLE_APERTURE], np.nan) for cube in (night.relative, night.error))
    ratio = np.sqrt(np.nanmean(error**2, axis=1)) / np.nanstd(flux, axis=1, ddof=1)
    assert chosen.size >= 15
    assert 0.8 < np.median(ratio) < 1.2
    assert np.mean((ratio > 1 / 1.6) & (ratio < 1.6)) >= 0.8


@pytest.mark.parametrize("kind", ["transit", "pulsator", "binary", "flare"])
def test_injected_variables_come_out_as_they_went_in(result: Result, kind: str) -> None:
    """The injected light curve, scaled by a free factor, fits with a factor of 1 within 10 %, and explains it all."""
    night, truth = result.night, result.truth
    injected = np.flatnonzero((truth.stars.kind == kind) & (covered(result) == 1))
    assert injected.size
    for star in injected:
        source = result.source_of(int(star))
        clean = night.clean(MIDDLE_APERTURE)[source]
        assert clean.sum() >= MIN_EPOCHS, f"star {star} is flagged on most frames"
        flux, error = night.relative[source, clean, MIDDLE_APERTURE], night.error[source, clean, MIDDLE_APERTURE]
        model = truth.relative_flux[star, result.frames[clean]].astype(np.float64)
        design = np.column_stack([np.ones(model.size), model - 1]) / error[:, None]
        (level, size), *_ = np.linalg.lstsq(design, flux / error)
        uncertainty = np.sqrt(np.linalg.inv(design.T @ design)[1, 1]) / level
        chi2 = np.square(flux / error - design @ (level, size)).sum() / (clean.sum() - 2)
        assert size / level == pytest.approx(1, abs=max(0.1, 3 * uncertainty))
        assert uncertainty < 0.1
        assert chi2 < 2


def test_the_transit_is_measured_without_knowing_it(result: Result) -> None:
    night, stars = result.night, result.truth.stars
    [star] = np.flatnonzero(stars.kind == "transit")
    source = result.source_of(int(star))
    clean = night.clean(MIDDLE_APERTURE)[source]
    start = float(night.jd[0])
    fit = fit_trapezoid(
        night.jd[clean] - start,
        night.relative[source, clean, MIDDLE_APERTURE],
        night.error[source, clean, MIDDLE_APERTURE],
        mid_time_guess=float(np.ptp(night.jd)) / 2,
    )
    assert fit.depth == pytest.approx(stars.amplitude[star], abs=max(0.1 * stars.amplitude[star], 3 * fit.depth_error))
    minutes = (fit.mid_time + start - stars.epoch_jd[star]) * 1440
    assert abs(minutes) < max(1.0, 3 * fit.mid_time_error * 1440)
    assert fit.depth_error < 0.1 * stars.amplitude[star]


@pytest.mark.parametrize("name", PLOTS)
def test_plots_are_pictures(result: Result, name: str) -> None:
    picture = imread(result.plots / name)
    assert min(picture.shape[:2]) >= 400
    assert picture[..., :3].std() > 0.02, "the picture is blank"


def test_variables_are_candidates_and_constant_stars_are_none(result: Result) -> None:
    """Of the injected variables those that few frames or saturation do not hide; of the constant stars none at all."""
    work, kind = result.plots.parents[1], result.truth.stars.kind[result.stars]
    with sqlite3.connect(work / "tianyu.db") as connection:
        rows = connection.execute(
            "SELECT v.source_id, v.candidate FROM variability v "
            "JOIN observation o ON o.analysis_pid = v.pid ORDER BY v.source_id"
        ).fetchall()
    chosen = np.array([candidate for _, candidate in rows], dtype=bool)
    assert chosen.size == result.night.xy.shape[0]
    measured = result.real & (result.night.clean().sum(axis=1) >= MIN_EPOCHS)
    assert np.flatnonzero(chosen & (kind == "constant")).tolist() == []
    variable = measured & (kind != "constant")
    assert variable.sum() >= 5
    assert np.flatnonzero(variable & ~chosen).tolist() == []
