"""Calibration undoes what a camera does, and refuses what no sky can be."""

import numpy as np
import pytest

from pipeline.detector.calibration import calibrate, guess_saturation
from pipeline.errors import UnusableDataError

SHAPE = (40, 50)


class TestCalibrate:
    def test_it_undoes_bias_dark_and_flat(self, rng: np.random.Generator) -> None:
        sky = rng.uniform(500, 900, SHAPE)
        bias, dark, flat = rng.normal(300, 5, SHAPE), rng.uniform(0, 0.2, SHAPE), rng.normal(1, 0.02, SHAPE)
        raw = sky * flat + dark * 60 + bias
        image, saturated = calibrate(raw, bias=bias, dark=dark, exposure=60.0, flat=flat)
        assert image.dtype == np.float32
        assert saturated is None
        np.testing.assert_allclose(image, sky, rtol=1e-5)

    def test_unsigned_counts_below_the_bias_become_negative(self) -> None:
        raw = np.array([[290, 310]], np.uint16)
        image, _ = calibrate(raw, bias=np.full((1, 2), 300, np.float32))
        np.testing.assert_array_equal(image, [[-10, 10]])

    def test_big_endian_counts_become_native_floats_and_the_frame_stays(self) -> None:
        raw = np.arange(6, dtype=">i2").reshape(2, 3)
        image, _ = calibrate(raw)
        assert image.dtype.isnative
        image += 1
        assert raw[0, 0] == 0

    def test_pixels_without_flat_are_masked(self) -> None:
        flat = np.ones(SHAPE, np.float32)
        flat[1, 2], flat[3, 4], flat[5, 6] = np.nan, 0, -1
        image, _ = calibrate(np.arange(2000.0).reshape(SHAPE), flat=flat)
        assert np.argwhere(np.isnan(image)).tolist() == [[1, 2], [3, 4], [5, 6]]
        assert np.isfinite(image).sum() == 2000 - 3

    def test_saturated_pixels_are_those_at_or_above_the_level(self) -> None:
        raw = np.full(SHAPE, 1000)
        raw[2, 3], raw[2, 4], raw[2, 5] = 65535, 60000, 59999
        _, saturated = calibrate(raw, saturation=60000)
        assert saturated is not None
        assert np.column_stack(np.divmod(saturated, SHAPE[1])).tolist() == [[2, 3], [2, 4]]

    @pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
    @pytest.mark.parametrize(("level", "full"), [(59999.5, 2), (59999.0, 3), (60000.5, 1), (1e6, 0), (np.inf, 0)])
    def test_saturation_levels_need_not_be_counts(self, dtype: str, level: float, full: int) -> None:
        raw = np.full(SHAPE, 1000, dtype)
        raw[2, 3:6] = 65535, 60000, 59999
        _, saturated = calibrate(raw, saturation=level)
        assert saturated is not None
        assert np.column_stack(np.divmod(saturated, raw.shape[1])).tolist() == [[2, 3], [2, 4], [2, 5]][:full]

    @pytest.mark.parametrize("name", ["bias", "dark", "flat"])
    def test_masters_of_another_shape_are_named(self, name: str) -> None:
        with pytest.raises(UnusableDataError, match=rf"{name} has shape \(3, 3\), the frame \(2, 3\)"):
            calibrate(np.arange(6).reshape(2, 3), **{name: np.ones((3, 3))})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (np.zeros(SHAPE, np.uint16), "every pixel of the frame is 0"),
            (np.full(SHAPE, 65535, np.uint16), "every pixel of the frame is 65535"),
            (np.full(SHAPE, np.nan), "no pixel of the frame is finite"),
            (np.ones((2, 3, 4)), "two axes"),
        ],
    )
    def test_frames_without_a_sky_are_refused(self, raw: np.ndarray, message: str) -> None:
        with pytest.raises(UnusableDataError, match=message):
            calibrate(raw)

    def test_a_frame_saturated_over_half_is_refused(self) -> None:
        raw = np.full(SHAPE, 65535)
        raw[:19] = 1000
        with pytest.raises(UnusableDataError, match="52% of the pixels"):
            calibrate(raw, saturation=65000)
        raw[:20] = 1000
        calibrate(raw, saturation=65000)


class TestGuessSaturation:
    def test_the_level_where_star_cores_pile_up(self, rng: np.random.Generator) -> None:
        raw = rng.normal(368, 2, (200, 200)).astype(np.int16)
        raw[50:53, 50:56] = 4095
        assert guess_saturation(raw) == 4095

    def test_none_where_nothing_is_full(self, rng: np.random.Generator) -> None:
        raw = rng.poisson(1000, (200, 200)).astype(np.uint16)
        raw[5, 5] = 40000
        assert guess_saturation(raw) is None
        assert guess_saturation(rng.integers(0, 4, (50, 50))) is None
        assert guess_saturation(np.ones((5, 5))) is None
