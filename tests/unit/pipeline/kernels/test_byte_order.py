"""Bytes of numbers in the other order."""

import numpy as np
import pytest

from pipeline.kernels.byte_order import swap_into, swap_into_reference


@pytest.mark.parametrize("size", [0, 1, 31, 1000])
@pytest.mark.parametrize("kind", [">i2", ">u2", ">i4", ">f4", ">i8", ">f8"])
def test_big_endian_numbers_become_native(kind: str, size: int, rng: np.random.Generator) -> None:
    numbers = rng.integers(0, 256, size * np.dtype(kind).itemsize, np.uint8).view(kind)
    native, reference = np.empty((2, size), np.dtype(kind).newbyteorder("="))
    swap_into(numbers, native)
    swap_into_reference(numbers, reference)
    assert native.tobytes() == reference.tobytes()
    np.testing.assert_array_equal(native, numbers)


def test_unsigned_numbers_are_those_that_fits_stores_less_a_zero(rng: np.random.Generator) -> None:
    counts = rng.integers(0, 65536, 777, np.uint16)
    stored, found = (counts.astype(np.int32) - 32768).astype(">i2"), np.empty_like(counts)
    swap_into(stored, found, 0x8000)
    np.testing.assert_array_equal(found, counts)


@pytest.mark.parametrize(("kind", "places", "turned"), [(">f4", 4, 0), (">f8", 5, 0), (">f4", 5, 1)])
def test_what_does_not_fit_is_refused(kind: str, places: int, turned: int) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        swap_into(np.zeros(5, kind), np.empty(places, np.float32), turned)
