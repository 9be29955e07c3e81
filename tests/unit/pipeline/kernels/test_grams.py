"""Normal equations of groups of rows."""

import numpy as np
import pytest

from pipeline.kernels.grams import group_grams, group_grams_reference


@pytest.mark.parametrize("width", [1, 8, 9, 25])
def test_products_are_those_of_numpy(width: int, rng: np.random.Generator) -> None:
    columns, right = rng.normal(size=(90, width)).astype(np.float32), rng.normal(size=90).astype(np.float32)
    weights = rng.uniform(0, 2, 90).astype(np.float32)
    rows = columns, np.array([0, 40, 40, 41, 90]), weights, right
    for found, expected in zip(group_grams(*rows), group_grams_reference(*rows), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)  # sums of up to 50 values about 1
