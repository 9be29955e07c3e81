"""Sources of a template against the stars that were drawn; hot pixels are none."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.frame.bad_pixels import find_sharp_pixels
from pipeline.registration.alignment import Alignment
from pipeline.stack.detection import SOURCE_DTYPE, detect_sources, match_sources
from pipeline.stack.stacking import Stack, stack_frames, weighted_mean
from tests.unit.pipeline.star_fields import make_field, noiseless

SHAPE = (400, 400)
GRID = np.array([(x, y) for x in range(25, 380, 25) for y in range(25, 380, 25)], np.float64)


def _distances(sources: NDArray[Any], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hypot(sources["x"][:, None] - xy[:, 0], sources["y"][:, None] - xy[:, 1])


def _snr(flux: NDArray[np.float64], rms: float, fwhm: float) -> NDArray[np.float64]:
    """S/N of a star in an aperture of its FWHM's radius."""
    return np.asarray(flux / (rms * np.sqrt(np.pi) * fwhm))


@pytest.mark.parametrize("fwhm", [1.6, 2.5, 4.0])
def test_stars_are_found_and_nothing_else(rng: np.random.Generator, fwhm: float) -> None:
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    field = make_field(rng, SHAPE, xy=xy, flux=10 ** rng.uniform(2.4, 5, len(xy)), fwhm=fwhm)
    sources = detect_sources(Stack.of_frame(field.image))
    distance = _distances(sources, xy)
    assert (distance.min(axis=1) < 1.5).mean() > 0.99
    found = distance.min(axis=0) < 1.5
    assert found[_snr(field.flux, field.rms, fwhm) > 15].mean() > 0.97
    assert len(sources) == np.unique(distance.argmin(axis=1)).size
    assert (np.diff(sources["flux"]) <= 0).all()
    assert sources.dtype == SOURCE_DTYPE


@pytest.mark.parametrize("ratio", [1.0, 3.0, 50.0, 100.0])
def test_stars_of_narrow_pairs_are_told_apart(rng: np.random.Generator, ratio: float) -> None:
    """Three widths apart; the fainter one has a signal to noise of 30, whatever the brighter one."""
    fwhm, apart = 1.7, 5.1
    fainter = 30 * 10 * np.sqrt(np.pi) * fwhm
    xy = GRID[::2] + rng.uniform(-0.5, 0.5, GRID[::2].shape)
    angle = rng.uniform(0, 2 * np.pi, len(xy))
    beside = xy + apart * np.column_stack([np.cos(angle), np.sin(angle)])
    flux = np.repeat([ratio * fainter, fainter], len(xy))
    field = make_field(rng, SHAPE, xy=np.concatenate([xy, beside]), flux=flux, fwhm=fwhm)
    sources = detect_sources(Stack.of_frame(field.image))
    distance = _distances(sources, field.xy)
    assert (distance.min(axis=0) < 0.7).mean() > 0.99
    assert (distance.min(axis=1) < 1.0).all()
    assert len(sources) == np.unique(distance.argmin(axis=1)).size


def test_fluxes_errors_and_positions(rng: np.random.Generator) -> None:
    fwhm = 2.5
    field = make_field(rng, SHAPE, xy=GRID + 0.3, flux=np.full(len(GRID), 1500.0), fwhm=fwhm, sky=400.0)
    sources = detect_sources(Stack.of_frame(field.image), fwhm=fwhm)
    radius = 1.5 * fwhm
    expected = 1500 * (1 - np.exp(-4 * np.log(2) * 1.5**2))
    assert np.mean(sources["flux"]) == pytest.approx(expected, rel=0.03)
    # The error is the sky's: what the stars add in photons is left to those who know the gain.
    sky_error = 20 * np.sqrt(np.pi) * radius
    assert np.median(sources["flux_error"]) == pytest.approx(sky_error, rel=0.03)
    assert sources["flux"].std() == pytest.approx(np.hypot(sky_error, np.sqrt(1500)), rel=0.15)
    assert np.sqrt(np.mean(_distances(sources, GRID + 0.3).min(axis=1) ** 2)) < 0.3


def _drifting_night(rng: np.random.Generator, mask_sharp: bool) -> tuple[Stack, NDArray[np.float64], NDArray[np.intp]]:
    """Thirty frames that drift by 2 px each over 300 hot pixels, stacked on the first."""
    xy = np.concatenate([rng.uniform(20, 380, (150, 2)), rng.uniform(20, 380, (150, 2)) + np.array([60, 30])])
    flux = 10 ** rng.uniform(3, 4.5, 300)
    hot = rng.integers(0, 400, (300, 2))
    strength = 10 ** rng.uniform(1.7, 3.5, 300)
    stacks = []
    for i in range(30):
        drift = Alignment(2.0 * i, 1.0 * i, 0.0, 1.0, 199.5, 199.5, 0.1, 100)
        image = make_field(rng, SHAPE, xy=drift.to_frame(xy), flux=flux).image
        image[hot[:, 1], hot[:, 0]] += strength
        if mask_sharp:
            image[find_sharp_pixels(image, 10.0)] = np.nan
        stacks.append(stack_frames([image], [drift]))
    return weighted_mean(stacks), xy, hot


@pytest.mark.parametrize(("mask_sharp", "purity"), [(True, 0.99), (False, 0.9)])
def test_drifting_over_hot_pixels_makes_no_sources(rng: np.random.Generator, mask_sharp: bool, purity: float) -> None:
    template, xy, _ = _drifting_night(rng, mask_sharp)
    sources = detect_sources(template)
    real = _distances(sources, xy).min(axis=1) < 2
    assert real.mean() > purity
    assert real.sum() > 180


def test_hot_pixels_of_a_steady_telescope_make_no_sources(rng: np.random.Generator) -> None:
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    flux = 10 ** rng.uniform(3, 4.5, len(xy))
    y, x = rng.integers(5, 395, (2, 200))
    clear = np.hypot(x[:, None] - xy[:, 0], y[:, None] - xy[:, 1]).min(axis=1) > 5
    mean = np.mean([make_field(rng, SHAPE, xy=xy, flux=flux).image for _ in range(10)], axis=0).astype(np.float32)
    mean[y[clear], x[clear]] += 10 ** rng.uniform(1, 4, clear.sum())
    sources = detect_sources(Stack(mean, np.full(SHAPE, 10, np.float32), 10))
    real = _distances(sources, xy).min(axis=1) < 1.5
    assert real.mean() > 0.99
    assert real.sum() == len(xy)


def test_noise_follows_the_weight(rng: np.random.Generator) -> None:
    weight = np.full(SHAPE, 16, np.float32)
    weight[:, 200:] = 9
    noise = rng.normal(0, 10, SHAPE) / np.sqrt(weight) * 4
    image = (noise + noiseless(SHAPE, GRID, np.full(len(GRID), 3000.0), 2.5)).astype(np.float32)
    sources = detect_sources(Stack(image, weight, 16), fwhm=2.5)
    left, right = (sources["flux_error"][side] for side in (sources["x"] < 190, sources["x"] > 210))
    assert np.median(right) / np.median(left) == pytest.approx(4 / 3, rel=0.01)
    assert np.median(left) == pytest.approx(10 * np.sqrt(np.pi) * 3.75, rel=0.05)


def test_sources_lie_where_half_of_the_frames_do(rng: np.random.Generator) -> None:
    field = make_field(rng, SHAPE, xy=GRID, flux=np.full(len(GRID), 2e4))
    weight = np.full(SHAPE, 20, np.float32)
    weight[:, :100] = 9
    weight[:60] = 0
    field.image[:60] = np.nan
    sources = detect_sources(Stack(field.image, weight, 20))
    assert sources["x"].min() > 99
    assert sources["y"].min() > 60
    assert len(sources) == np.count_nonzero((GRID[:, 0] >= 100) & (GRID[:, 1] > 60))


def test_blends_and_edges_are_flagged(rng: np.random.Generator) -> None:
    xy = np.array([[100.0, 100], [105.0, 100], [200, 200], [300, 1], *(GRID[::7] + 10)])
    field = make_field(rng, SHAPE, xy=xy, flux=np.full(len(xy), 4e4))
    sources = detect_sources(Stack.of_frame(field.image))
    flags = {tuple(np.rint(s[["x", "y"]].tolist()).astype(int)): int(s["flag"]) for s in sources}
    assert flags[100, 100] == flags[105, 100] == Flag.BLENDED
    assert flags[200, 200] == 0
    assert flags[300, 1] & Flag.EDGE


@pytest.mark.parametrize("fwhm", [2.2, 3.0])
def test_what_the_sky_map_leaves_of_a_halo_is_no_source(rng: np.random.Generator, fwhm: float) -> None:
    """Rings of a few ADU, wide and even, of which noise makes pieces with an S/N of 20 in an aperture."""
    xy = np.array([(x, y) for x in range(20, 300, 40) for y in range(20, 300, 40)], np.float64)
    xy, rms = xy[np.hypot(*(xy - 150).T) > 60], 2.0
    flux = np.full(len(xy), 20 * rms * np.sqrt(np.pi) * fwhm)
    y, x = np.mgrid[:300, :300]
    halo = 300 * (1 + ((x - 150) ** 2 + (y - 150) ** 2) / 15**2) ** -1.5
    image = noiseless((300, 300), xy, flux, fwhm) + halo + rng.normal(0, rms, (300, 300))
    sources = detect_sources(Stack.of_frame(image.astype(np.float32)), fwhm=fwhm)
    distance = _distances(sources, xy)
    in_the_core = np.hypot(sources["x"] - 150, sources["y"] - 150) < 15
    assert (distance.min(axis=1)[~in_the_core] < 1).all()
    assert (distance.min(axis=0) < 1).all()


@pytest.mark.parametrize(("fwhm", "ratio", "right"), [(3.0, 1.0, 0.95), (2.6, 1.0, 0.9), (2.6, 1.5, 0.8)])
def test_pairs_that_smoothing_makes_one_are_not_found_between_their_stars(
    rng: np.random.Generator, fwhm: float, ratio: float, right: float
) -> None:
    """1.3 and 1.5 widths apart: often one detection, whose centroid lies half way."""
    apart = 4.0
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    angle = rng.uniform(0, 2 * np.pi, len(xy))
    beside = xy + apart * np.column_stack([np.cos(angle), np.sin(angle)])
    flux = np.repeat([ratio * 2e4, 2e4], len(xy))
    field = make_field(rng, SHAPE, xy=np.concatenate([xy, beside]), flux=flux, fwhm=fwhm)
    sources = detect_sources(Stack.of_frame(field.image), fwhm=fwhm)
    distance = _distances(sources, field.xy)
    near = (distance < 0.3 * fwhm).any(axis=0)
    assert near[: len(xy)].mean() > right
    assert near[len(xy) :].mean() > right
    assert len(sources) == np.unique(distance.argmin(axis=1)).size


def test_the_wing_of_a_bright_star_is_no_star(rng: np.random.Generator) -> None:
    xy = np.array([(x, y) for x in (75, 200, 325) for y in (75, 200, 325)]) + rng.uniform(-0.5, 0.5, (9, 2))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = rng.normal(0, 2, SHAPE)
    for place in xy:
        image += 5e4 * (1 + ((x - place[0]) ** 2 + (y - place[1]) ** 2) / 1.5**2) ** -1.8
    sources = detect_sources(Stack.of_frame(image.astype(np.float32)), fwhm=2.2)
    assert len(sources) == len(xy)
    assert _distances(sources, xy).min(axis=0).max() < 0.1


def test_a_star_that_the_border_cuts_is_no_source(rng: np.random.Generator) -> None:
    """What is left of it has its centroid elsewhere: one lying outside would be found 2 px from its place."""
    cut = np.array([[-0.7, 100.0], [200.0, -1.5], [SHAPE[1] - 0.5, 150.0]])
    field = make_field(rng, SHAPE, xy=np.vstack([cut, GRID]), flux=np.full(3 + len(GRID), 4e4), fwhm=3.5)
    sources = detect_sources(Stack.of_frame(field.image), fwhm=3.5)
    distance, _ = KDTree(GRID).query(np.column_stack([sources["x"], sources["y"]]))
    assert len(sources) == len(GRID)
    assert distance.max() < 0.2


def test_an_empty_sky_has_no_sources_and_an_empty_template_is_refused(rng: np.random.Generator) -> None:
    assert detect_sources(Stack.of_frame(rng.normal(0, 5, SHAPE).astype(np.float32))).shape == (0,)
    blank = np.full(SHAPE, np.nan, np.float32)
    with pytest.raises(UnusableDataError, match="template is empty"):
        detect_sources(Stack.of_frame(blank))


class TestMatchSources:
    def test_known_sources_are_found_again(self, rng: np.random.Generator) -> None:
        known = rng.uniform(0, 2000, (500, 2))
        order = rng.permutation(500)
        new = known[order] + rng.normal(0, 0.1, known.shape)
        matched = match_sources(known, np.concatenate([new, [[5000.0, 5000.0]]]), 1.5)
        assert matched[-1] == -1
        assert (matched[:-1] == order).mean() > 0.99

    def test_a_known_source_is_given_once_to_the_nearest(self) -> None:
        known = np.array([[0.0, 0.0], [2.0, 0.0]])
        new = np.array([[0.9, 0.0], [0.2, 0.0], [0.0, 0.1]])
        # The third is nearest to source 0; what is left takes source 1 if it is near enough.
        assert match_sources(known, new, 1.5).tolist() == [1, -1, 0]

    def test_beyond_the_tolerance_all_are_new(self) -> None:
        assert match_sources(np.array([[0.0, 0.0]]), np.array([[1.6, 0.0]]), 1.5).tolist() == [-1]

    def test_nothing_to_match(self) -> None:
        none, one = np.empty((0, 2)), np.zeros((1, 2))
        assert match_sources(none, one, 1.5).tolist() == [-1]
        assert match_sources(one, none, 1.5).size == 0
