"""Plots: the star worth a look is found, means are right, and what is drawn is what was measured."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from schema.observing import Observation
from schema.photometry import Flux, LightCurveStatistics
from services.errors import ConfigurationError, DataError
from services.image_store import LocalImageStore
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.plots import make_plots
from services.results.plots.light_curve_plot import draw_light_curve
from services.results.plots.template_picture import reduced
from services.results.plots.time_bins import bin_means, bin_width, resolved_within, view_limits
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp

NAMES = [
    "stack.png",
    "scatter.png",
    "precision.png",
    "offsets.png",
    "lightcurve.png",
    "comparison.png",
    "systematics.png",
    "finding_chart.png",
    "psf.png",
]
VERMILION, ORANGE, BLUE = (213, 94, 0), (230, 159, 0), (0, 114, 178)


@pytest.fixture
def store(tmp_path: Path) -> LocalImageStore:
    return LocalImageStore(tmp_path)


@pytest.fixture
def made(session: Session, store: LocalImageStore) -> MadeUp:
    return made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1), store=store)


def test_bin_means_are_weighted() -> None:
    time = np.array([0.0, 0.1, 1.0, 1.2, 5.0])
    flux = np.array([1.0, 4.0, 2.0, np.nan, 7.0])
    error = np.array([1.0, 2.0, 1.0, 1.0, 0.5])
    at, mean, mean_error = bin_means(time, flux, error, 1.0)
    np.testing.assert_allclose(at, [0.02, 1.0, 5.0])
    np.testing.assert_allclose(mean, [(1.0 + 4.0 / 4) / 1.25, 2.0, 7.0])
    np.testing.assert_allclose(mean_error, [1.25**-0.5, 1.0, 0.5])


def test_means_are_left_out_where_they_would_hide_the_variation() -> None:
    time = np.arange(200) * 0.001
    noise = 0.003 * np.random.default_rng(5).standard_normal(200)
    transit = 1 + noise - 0.02 * (np.abs(time - 0.1) < 0.03)
    pulsation = 1 + noise + 0.1 * np.sin(2 * np.pi * time / 0.02)
    assert not resolved_within(time, transit, 0.008)
    assert resolved_within(time, pulsation, 0.008)


def test_bins_of_ten_minutes_where_they_hold_enough_points() -> None:
    minutes = np.arange(0.0, 180.0, 2.0) / 1440.0
    flux = 1 + 0.003 * np.random.default_rng(5).standard_normal(minutes.size)
    assert bin_width(minutes, flux) == pytest.approx(10.0 / 1440.0)
    assert bin_width(minutes * 20, flux[:90]) is None  # a point in 40 minutes
    assert bin_width(minutes[:15], flux[:15]) is None  # half an hour
    assert bin_width(np.empty(0), np.empty(0)) is None


def test_view_keeps_short_events_and_drops_single_outliers() -> None:
    flux, error = np.ones(50), np.full(50, 0.001)
    flux[[0, 20, 49]] = 3.0
    flux[30:32] = 1.2
    low, high = view_limits(flux, error)
    assert low == pytest.approx(1.0 - 0.1 * 0.2 - 0.003)
    assert high == pytest.approx(1.2 + 0.1 * 0.2 + 0.003)
    low, high = view_limits(np.array([1.0]), np.array([np.nan]))
    assert low < 1.0 < high


def test_reduced_template_is_the_mean_of_known_pixels() -> None:
    image = np.arange(20, dtype=np.float32).reshape(4, 5)
    image[0, 0] = np.nan
    np.testing.assert_allclose(reduced(image, 2), [[(1 + 5 + 6) / 3, (2 + 3 + 7 + 8) / 4], [13, 15]])


def _has_colour(path: Path, colour: tuple[int, int, int]) -> bool:
    pixels = np.round(imread(path)[..., :3] * 255).astype(int)
    return bool((np.abs(pixels - colour).max(axis=2) < 30).any())


def test_all_plots_are_made_and_mark_what_they_should(
    session: Session, store: LocalImageStore, made: MadeUp, tmp_path: Path
) -> None:
    folder = tmp_path / "plots" / "1"
    paths = make_plots(session, store, made.observation_id, folder)
    assert [path.name for path in paths] == NAMES
    assert sorted(file.name for file in folder.iterdir()) == sorted(NAMES)
    path = dict(zip(NAMES, paths, strict=True))
    assert _has_colour(path["stack.png"], VERMILION)  # the target
    assert _has_colour(path["stack.png"], ORANGE)  # reference stars
    assert _has_colour(path["scatter.png"], ORANGE)  # quoted errors
    assert _has_colour(path["lightcurve.png"], BLUE)
    assert not _has_colour(path["lightcurve.png"], ORANGE)  # nothing is flagged
    session.execute(
        update(Flux)
        .where(Flux.source_id == made.variable, Flux.image_id > int(made.image_ids[30]))
        .values(flag=int(Flag.BAD_PIXEL))
    )
    facts = find_observation(session)
    curve = read_light_curve(session, facts, find_source(session, facts, source_id=made.variable))
    assert _has_colour(draw_light_curve(curve, folder / "flagged.png"), ORANGE)


def test_plots_of_a_night_that_stopped_early(
    session: Session, store: LocalImageStore, made: MadeUp, tmp_path: Path
) -> None:
    (tmp_path / store.derived_path("template", made.observation_id, made_up.GRAPH_PID + 9)).unlink()
    session.execute(update(Observation).values(analysis_pid=None, calibration_pid=None))
    session.execute(delete(LightCurveStatistics))
    paths = make_plots(session, store, made.observation_id, tmp_path / "plots")
    assert [path.name for path in paths] == ["offsets.png"]


def test_target_that_is_not_there(session: Session, store: LocalImageStore, made: MadeUp, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no source 9999"):
        make_plots(session, store, made.observation_id, tmp_path / "plots", 9999)


def test_names_with_formula_signs_are_text(session: Session, store: LocalImageStore, tmp_path: Path) -> None:
    observation = made_up.add_observation(session, name=r"$\frac{x$ <b>", filter_name="$_")
    made_up.add_light_curves(session, observation, np.random.default_rng(1), n_stars=8, store=store)
    assert len(make_plots(session, store, observation, tmp_path / "plots")) == len(NAMES)


def test_a_light_curve_of_several_apertures_is_refused(session: Session, made: MadeUp, tmp_path: Path) -> None:
    facts = find_observation(session)
    curve = read_light_curve(session, facts, find_source(session, facts, source_id=made.variable), "all")
    with pytest.raises(DataError, match="a plot shows one aperture"):
        draw_light_curve(curve, tmp_path / "x.png")


def test_a_plot_in_a_folder_that_is_not_there(session: Session, made: MadeUp, tmp_path: Path) -> None:
    facts = find_observation(session)
    curve = read_light_curve(session, facts, find_source(session, facts, source_id=made.variable))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        draw_light_curve(curve, tmp_path / "missing" / "x.png")
