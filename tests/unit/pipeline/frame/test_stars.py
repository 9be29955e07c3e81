"""Star lists against the stars that were drawn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.frame import extraction as module
from pipeline.frame.bad_pixels import find_sharp_pixels
from pipeline.frame.extraction import extract
from pipeline.frame.stars import STAR_DTYPE, find_stars, frame_ellipticity, frame_fwhm
from tests.unit.pipeline.star_fields import make_field

GRID = np.array([(x, y) for x in range(30, 480, 40) for y in range(30, 480, 40)], np.float64)


def _nearest(xy: NDArray[np.float64], stars: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    distance = np.hypot(stars["x"][:, None] - xy[:, 0], stars["y"][:, None] - xy[:, 1])
    return distance.min(axis=1), distance.argmin(axis=1)


def test_positions_fluxes_and_order(rng: np.random.Generator) -> None:
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    field = make_field(rng, (512, 512), xy=xy, flux=10 ** rng.uniform(4, 5.5, len(xy)))
    stars = find_stars(field.image, field.rms)
    assert stars.dtype == STAR_DTYPE
    assert len(stars) == len(xy)
    assert (np.diff(stars["flux"]) <= 0).all()
    distance, index = _nearest(xy, stars)
    assert np.unique(index).size == len(xy)
    assert np.sqrt(np.mean(distance**2)) < 0.04
    np.testing.assert_allclose(stars["flux"], field.flux[index], rtol=0.1)


@pytest.mark.parametrize("fwhm", [1.2, 1.5, 2.0])
def test_centroids_of_narrow_stars_are_not_drawn_to_the_middles_of_pixels(
    rng: np.random.Generator, fwhm: float
) -> None:
    """A bright frame, whose alignment they decide: within a hundredth or two of a pixel wherever in it a star falls."""
    xy = GRID + rng.uniform(-0.5, 0.5, GRID.shape)
    field = make_field(rng, (512, 512), xy=xy, flux=np.full(len(xy), 2e5), fwhm=fwhm)
    stars = find_stars(field.image, field.rms)
    _, index = _nearest(xy, stars)
    off = np.column_stack([stars["x"], stars["y"]]) - xy[index]
    assert np.abs(off).max() < 0.03


@pytest.mark.parametrize("fwhm", [1.6, 2.5, 4.0])
def test_the_frame_fwhm_is_that_of_the_pixels(rng: np.random.Generator, fwhm: float) -> None:
    field = make_field(rng, (512, 512), xy=GRID + 0.3, flux=np.full(len(GRID), 1e5), fwhm=fwhm)
    # A pixel adds the variance of a unit box to that of the Gaussian.
    expected = np.hypot(fwhm, 2.3548 * np.sqrt(1 / 12))
    stars = find_stars(field.image, field.rms)
    assert frame_fwhm(stars) == pytest.approx(expected, rel=0.07)
    assert frame_ellipticity(stars) < 0.05


@pytest.mark.parametrize("share_of_faint", [0.0, 0.9])
def test_the_frame_fwhm_does_not_depend_on_how_faint_its_stars_are(
    rng: np.random.Generator, share_of_faint: float
) -> None:
    faint = np.arange(len(GRID)) < share_of_faint * len(GRID)
    field = make_field(rng, (512, 512), xy=GRID + 0.3, flux=np.where(faint, 2500.0, 1e5), fwhm=3.5)
    stars = find_stars(field.image, field.rms)
    assert len(stars) > 0.8 * len(GRID)
    assert frame_fwhm(stars) == pytest.approx(np.hypot(3.5, 0.68), rel=0.05)


def test_a_badly_tracked_frame_keeps_its_stars(rng: np.random.Generator) -> None:
    field = make_field(rng, (512, 512), xy=GRID, flux=np.full(len(GRID), 5e4), fwhm=2.5, ratio=4.0)
    stars = find_stars(field.image, field.rms)
    assert len(stars) == len(GRID)
    assert frame_ellipticity(stars) == pytest.approx(1 - 1 / 4, abs=0.07)


def test_hot_pixels_and_streaks_are_no_stars(rng: np.random.Generator) -> None:
    xy = GRID[::3]
    field = make_field(rng, (512, 512), xy=xy, flux=np.full(len(xy), 2e4))
    y, x = rng.integers(5, 505, (2, 400))
    field.image[y, x] += 10 ** rng.uniform(2, 4.5, 400).astype(np.float32)
    field.image[300:302, 50:450] += 300  # a satellite
    for image in (field.image, np.where(find_sharp_pixels(field.image, field.rms), np.nan, field.image)):
        stars = find_stars(image.astype(np.float32), field.rms)
        distance, _ = _nearest(xy, stars)
        assert np.count_nonzero(distance < 1.5) >= 0.95 * len(xy)
        assert np.count_nonzero(distance > 3) <= 3


def test_saturated_stars_do_not_set_the_fwhm(rng: np.random.Generator) -> None:
    flux = np.where(np.arange(len(GRID)) % 8 == 0, 3e6, 5e4)
    field = make_field(rng, (512, 512), xy=GRID, flux=flux)
    clipped = np.minimum(field.image, 60000).astype(np.float32)
    alone = make_field(rng, (512, 512), xy=GRID, flux=np.full(len(GRID), 5e4))
    expected = frame_fwhm(find_stars(alone.image, alone.rms))
    assert frame_fwhm(find_stars(clipped, field.rms)) == pytest.approx(expected, rel=0.02)


def test_no_stars_is_an_empty_list(rng: np.random.Generator) -> None:
    for image in (rng.normal(0, 10, (128, 128)), np.full((64, 64), np.nan), np.zeros((64, 64))):
        stars = find_stars(image.astype(np.float32), 10.0)
        assert stars.shape == (0,)
        assert stars.dtype == STAR_DTYPE
        assert np.isnan(frame_fwhm(stars))
        assert np.isnan(frame_ellipticity(stars))
    assert not find_stars(np.zeros((64, 64), np.float32), 0.0).size


def test_masked_pixels_are_not_detected(rng: np.random.Generator) -> None:
    field = make_field(rng, (256, 256), xy=np.array([[60.0, 60.0], [180.0, 180.0]]), flux=np.full(2, 5e4))
    field.image[40:80, 40:80] = np.nan
    stars = find_stars(field.image, field.rms)
    assert [(round(s["x"]), round(s["y"])) for s in stars] == [(180, 180)]


def test_a_full_detection_buffer_is_outgrown(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    field = make_field(rng, (512, 512), xy=GRID, flux=np.full(len(GRID), 5e4))
    whole = len(find_stars(field.image, field.rms))
    monkeypatch.setattr(module, "DETECTION_BUFFER", 600)
    assert len(find_stars(field.image, field.rms)) == whole
    monkeypatch.setattr(module, "BUFFER_ATTEMPTS", 1)
    monkeypatch.setattr(module, "DETECTION_BUFFER", 20)
    with pytest.raises(UnusableDataError, match="detections cannot be separated"):
        extract(field.image, 5.0, noise=field.rms)
