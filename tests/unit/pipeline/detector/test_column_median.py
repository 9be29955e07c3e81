import numpy as np
import pytest

from pipeline.detector.column_median import column_median


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 40])
def test_equal_to_numpy_to_the_last_bit(n: int) -> None:
    generator = np.random.default_rng(n)
    block = generator.normal(1.0, 0.1, (n, 7, 1009)).astype(np.float32)
    block[:, 3] = np.rint(10 * block[:, 3])  # values that occur more than once
    before = block.copy()
    np.testing.assert_array_equal(column_median(block), np.median(block, axis=0))
    np.testing.assert_array_equal(block, before)
    assert column_median(block).dtype == np.float32


@pytest.mark.parametrize("n", [1, 2, 5, 10, 11])
def test_a_nan_in_any_layer_makes_the_pixel_nan(n: int) -> None:
    block = np.arange(n * (n + 1), dtype=np.float32).reshape(n, n + 1)
    block[np.arange(n), np.arange(n)] = np.nan
    median = column_median(block)
    assert np.isnan(median[:n]).all()
    assert median[n] == np.median(block[:, n])


def test_infinite_values_take_their_place() -> None:
    block = np.array([[np.inf], [1.0], [-np.inf]], np.float32)
    assert column_median(block) == [1.0]
