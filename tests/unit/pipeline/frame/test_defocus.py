"""Rings of defocused stars, with spider vanes, with coma: each is one star, at its centre."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.frame.defocus import out_of_focus
from pipeline.frame.one_star import first_of_star
from pipeline.frame.stars import brightest, find_stars, frame_fwhm
from pipeline.stack.detection import detect_sources
from pipeline.stack.stacking import Stack
from tests.unit.pipeline.defocused import ring, ring_field
from tests.unit.pipeline.star_fields import StarField, make_field

SHAPE = (380, 380)
GRID = np.array([(x, y) for x in range(40, 360, 75) for y in range(40, 360, 75)], np.float64)


def _rings(rng: np.random.Generator, kind: str, across: float) -> StarField:
    xy = GRID + rng.uniform(-5, 5, GRID.shape)
    return ring_field(rng, SHAPE, xy, 10 ** rng.uniform(4.6, 6.3, len(xy)), kind, across)


def _half_flux_diameter(kind: str, across: float) -> float:
    """Of the stamp, about its centre of light."""
    stamp = ring(kind, across)
    y, x = np.indices(stamp.shape)
    r = np.hypot(x - (x * stamp).sum(), y - (y * stamp).sum()).ravel()
    order = np.argsort(r)
    return float(2 * r[order][np.searchsorted(np.cumsum(stamp.ravel()[order]), 0.5)])


def _off(found: NDArray[np.void], field: StarField) -> NDArray[np.float64]:
    """From each found star to the true one, without what all have in common: coma has its light off the centre."""
    xy = np.column_stack([found["x"], found["y"]])
    _, nearest = KDTree(field.xy).query(xy)
    assert sorted(nearest) == list(range(len(field.xy)))
    off = xy - field.xy[nearest]
    return np.asarray(np.hypot(*(off - np.median(off, axis=0)).T))


@pytest.mark.parametrize("across", [8, 12, 20])
@pytest.mark.parametrize("kind", ["plain", "vanes", "coma"])
def test_a_ring_is_one_star(rng: np.random.Generator, kind: str, across: float) -> None:
    field = _rings(rng, kind, across)
    stars = find_stars(field.image, field.rms)
    assert np.median(_off(stars, field)) < 0.1
    # A pixel of the stamp is a quarter of the smallest ring's radius.
    assert frame_fwhm(stars) == pytest.approx(_half_flux_diameter(kind, across), rel=0.12)
    sources = detect_sources(Stack.of_frame(field.image), fwhm=frame_fwhm(stars))
    assert np.median(_off(sources, field)) < 0.1
    assert not sources["flag"].any()


def test_pairs_of_rings_stay_two_and_are_blends(rng: np.random.Generator) -> None:
    """12 px across, 20 px apart, one of them a fifth as bright."""
    xy = np.concatenate([GRID, GRID[:5] + np.array([17, 10.5])])
    flux = np.concatenate([np.full(len(GRID), 3e5), np.full(5, 6e4)])
    field = ring_field(rng, SHAPE, xy, flux, "vanes", 12)
    sources = detect_sources(Stack.of_frame(field.image))
    distance, nearest = KDTree(xy).query(np.column_stack([sources["x"], sources["y"]]))
    assert sorted(nearest) == list(range(len(xy)))
    # The window of a faint one reaches the bright one, and is drawn a sixth of a FWHM.
    assert distance.max() < 1.6
    assert ((sources["flag"] > 0) == ((nearest < 5) | (nearest >= len(GRID)))).all()


def test_hot_pixels_are_no_rings(rng: np.random.Generator) -> None:
    field = _rings(rng, "plain", 12)
    hot = np.mgrid[8:372:17, 8:372:17].reshape(2, -1)  # two side by side could be a star
    hot = hot[:, np.hypot(*(hot.T[:, None] - field.xy).transpose(2, 0, 1)).min(axis=1) > 12]
    field.image[hot[1], hot[0]] += 10 ** rng.uniform(2, 4, hot.shape[1])
    assert len(_off(find_stars(field.image, field.rms), field)) == len(field.xy)
    assert len(_off(detect_sources(Stack.of_frame(field.image), fwhm=9.6), field)) == len(field.xy)


@pytest.mark.parametrize(("fwhm", "ratio", "stars"), [(5, 1, 400), (8, 1, 100), (3, 4, 100), (2.5, 1, 400)])
def test_wide_and_trailed_stars_are_in_focus(rng: np.random.Generator, fwhm: float, ratio: float, stars: int) -> None:
    field = make_field(rng, SHAPE, stars=stars, fwhm=fwhm, ratio=ratio)
    found = find_stars(field.image, field.rms)
    assert not out_of_focus(field.image, *brightest(found), frame_fwhm(found))


def test_detections_at_one_place_are_one_star() -> None:
    x = np.array([10.0, 30.0, 10.9, 11.3, 30.0, 50.0])
    y = np.array([10.0, 30.0, 10.0, 10.9, 29.0, 50.0])
    # The third joins the first; the fourth is near to the third only, which is no star of its own.
    assert first_of_star(x, y, 2.0).tolist() == [0, 1, 0, 3, 4, 5]
    assert first_of_star(x, y, 2.2).tolist() == [0, 1, 0, 3, 1, 5]
    assert first_of_star(x[:0], y[:0], 2.0).size == 0
