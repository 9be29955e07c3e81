import numpy as np
import pytest

from pipeline.flags import Flag
from pipeline.frame.masked_pixels import PixelBit, filled_in, flags_of, pixel_bits, pixel_table
from pipeline.kernels.apertures import touched_bits


def test_a_lone_pixel_takes_the_quadratic_surface_through_its_neighbours() -> None:
    y, x = np.indices((30, 30), dtype=np.float64)
    image = (3 + 0.5 * x - 0.2 * y + 0.3 * x * y + 0.1 * x**2 - 0.4 * y**2).astype(np.float32)
    masked = np.zeros(image.shape, dtype=bool)
    masked[11, 17] = True
    damaged = image.copy()
    damaged[masked] = np.nan
    with filled_in(damaged, masked):
        assert damaged[11, 17] == pytest.approx(image[11, 17], rel=1e-5)
    assert np.isnan(damaged[11, 17])


def test_pixels_in_a_row_and_in_a_corner_take_the_mean_of_the_good_ones() -> None:
    image = np.arange(25, dtype=np.float32).reshape(5, 5)
    masked = np.zeros(image.shape, dtype=bool)
    masked[0, 0] = masked[2, 2] = masked[2, 3] = True
    before = image.copy()
    with filled_in(image, masked):
        assert image[0, 0] == pytest.approx(np.mean([1, 5, 6]))
        assert image[2, 2] == pytest.approx(np.mean([6, 7, 8, 11, 16, 17, 18]))
        np.testing.assert_array_equal(image[~masked], before[~masked])
    np.testing.assert_array_equal(image, before)


def test_a_pixel_without_good_neighbours_is_unknown() -> None:
    masked = np.zeros((9, 9), dtype=bool)
    masked[3:6, 3:6] = True
    image = np.ones((9, 9), dtype=np.float32)
    with filled_in(image, masked):
        assert np.argwhere(np.isnan(image)).tolist() == [[4, 4]]


def test_touch_is_exact_to_the_edge_of_the_pixel() -> None:
    bits = np.zeros((40, 40), dtype=np.uint8)
    bits[20, 25] = 1  # covers x from 24.5 to 25.5
    xy = np.array([[20.0, 20.0], [19.9, 20.0], [20.49, 20.0], [25.0, 17.0], [39.0, 39.0]])
    touched = touched_bits(bits, xy, (2.4, 4.55, 6.0))
    np.testing.assert_array_equal(touched, [[0, 1, 1], [0, 0, 1], [0, 1, 1], [0, 1, 1], [0, 0, 0]])


def test_beside_the_edge_no_pixel_of_the_far_side_touches() -> None:
    bits = np.zeros((40, 40), dtype=np.uint8)
    bits[:, 39] = 1
    assert not touched_bits(bits, np.array([[0.0, 20.0], [1.0, 0.0]]), (5.0,)).any()


def test_each_aperture_has_the_bits_of_all_its_pixels() -> None:
    bits = np.zeros((40, 40), dtype=np.uint8)
    bits[20, 20], bits[20, 23], bits[24, 20] = PixelBit.COSMIC, PixelBit.TRAIL | PixelBit.SATURATED, PixelBit.NONLINEAR
    touched = flags_of(touched_bits(bits, np.array([[20.0, 20.0], [5.0, 5.0]]), (2.0, 3.0, 4.0)))
    expected = [Flag.COSMIC_RAY, Flag.COSMIC_RAY | Flag.TRAIL | Flag.SATURATED]
    expected.append(expected[1] | Flag.NONLINEAR)
    np.testing.assert_array_equal(touched, [expected, [0, 0, 0]])


def test_every_bit_of_a_pixel_has_its_flag() -> None:
    names = {"BAD": "BAD_PIXEL", "COSMIC": "COSMIC_RAY"}
    for bit in PixelBit:
        assert flags_of(np.array([bit], np.uint8))[0] == Flag[names.get(bit.name or "", bit.name or "")]


def test_pixels_survive_the_way_through_a_table() -> None:
    bits = np.zeros((7, 9), dtype=np.uint8)
    bits[2, 3], bits[6, 8] = PixelBit.BAD, PixelBit.TRAIL | PixelBit.COSMIC
    table = pixel_table(bits)
    assert len(table) == 2
    np.testing.assert_array_equal(pixel_bits(table, (7, 9)), bits)
    assert pixel_bits(table, (3, 9)).sum() == PixelBit.BAD  # of an image that is smaller than its table says
