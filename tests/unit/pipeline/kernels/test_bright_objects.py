"""Objects above a threshold: the kernel beside Python, beside sep, and beside true stars."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.errors import UnusableDataError
from pipeline.frame.extraction import BLEND_SHARE, PROMINENCE, SMOOTHING, extract, find_objects, noise_left
from pipeline.kernels import bright_objects as bright_objects_module
from pipeline.kernels.bright_objects import OBJECT_DTYPE, bright_objects, bright_objects_reference
from tests.unit.pipeline.star_fields import StarField, make_field

CROWDED = (160, 170)


def found_in(field: StarField) -> NDArray[np.void]:
    prominence = PROMINENCE * field.rms * noise_left(SMOOTHING)
    image = np.ascontiguousarray(field.image, np.float32)
    return bright_objects(image, 5 * field.rms, least=5, prominence=prominence, share=BLEND_SHARE)


@pytest.mark.parametrize(("stars", "share"), [(60, BLEND_SHARE), (60, 0.2), (8, 2.0)])
def test_objects_are_those_of_the_reference(stars: int, share: float, rng: np.random.Generator) -> None:
    field = make_field(rng, (70, 64), stars=stars, sky=400.0, fwhm=4.0)
    image = np.ascontiguousarray(field.image, np.float32)
    image[0, :9] = image[40:50, 63] = 400  # at borders, and equal ones
    found, expected = (
        function(image, 60.0, least=5, prominence=20.0, share=share)
        for function in (bright_objects, bright_objects_reference)
    )
    assert len(expected) > 4
    for name in OBJECT_DTYPE.names or ():
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-6, err_msg=name)


def test_islands_are_those_of_sep(rng: np.random.Generator) -> None:
    field = make_field(rng, CROWDED, stars=60, sky=400.0, fwhm=3.0)
    image = np.ascontiguousarray(field.image, np.float32)
    found = bright_objects(image, 100.0, least=5, prominence=np.inf, share=2.0)
    expected = extract(image, 100.0, noise=1.0, deblend_cont=1.0, clean=False)
    assert len(expected) > 20
    found, expected = (objects[np.lexsort((objects["xpeak"], objects["ypeak"]))] for objects in (found, expected))
    for name in ("npix", "x", "y", "xpeak", "ypeak"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)
    for name in ("flux", "peak"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


def test_in_a_crowded_field_more_stars_are_told_apart_than_by_four_levels(rng: np.random.Generator) -> None:
    field = make_field(rng, (512, 512), stars=900, sky=400.0, fwhm=4.0)
    image = np.ascontiguousarray(field.image, np.float32)
    by_levels = extract(image, 5.0, noise=field.rms, deblend_nthresh=4, clean=False)
    near = [
        np.count_nonzero(KDTree(np.column_stack([objects["x"], objects["y"]])).query(field.xy)[0] < 1)
        for objects in (found_in(field), by_levels)
    ]
    assert near[0] > 1.02 * near[1]


def test_noise_makes_no_star_of_a_wing(rng: np.random.Generator) -> None:
    at = np.array([[250.3, 255.8]])
    field = make_field(rng, (512, 512), xy=at, flux=np.array([3e6]), sky=400.0, fwhm=6.0)
    assert len(found_in(field)) == 1


def test_more_bright_pixels_than_were_expected_are_kept() -> None:
    image = np.full((40, 50), 10, np.float32)
    image[20] = 0
    assert bright_objects(image, 7.5, least=5, prominence=1.0, share=0.01)["npix"].tolist() == [18 * 48, 17 * 48]


def test_an_image_that_is_bright_all_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bright_objects_module, "MOST_BRIGHT", 1000)
    with pytest.raises(UnusableDataError, match=r"1,600 pixels are above .* check the background"):
        find_objects(np.full((40, 40), 100, np.float32), 5.0, noise=1.0, masked=np.empty(0, np.int64), min_area=5)


def test_nothing_bright_is_no_object() -> None:
    assert not len(bright_objects(np.zeros((9, 9), np.float32), 1.0, least=1, prominence=1.0, share=0.1))
