"""Overscan levels that add no noise, and frames put together of what amplifiers read."""

import numpy as np
import pytest

from pipeline.detector.calibration import calibrate
from pipeline.detector.overscan import line_levels
from pipeline.detector.readout import Amplifier, Readout, Window, read_bad, read_out
from pipeline.errors import UnusableDataError

LINES, PIXELS = 1000, 34


class TestLineLevels:
    @pytest.mark.parametrize(("read_noise", "jumps"), [(0.3, 0.0), (3.0, 0.0), (8.0, 0.3), (3.0, 0.3), (3.0, 3.0)])
    def test_a_line_gets_no_more_noise_than_is_taken_off(
        self, rng: np.random.Generator, read_noise: float, jumps: float
    ) -> None:
        """Neither more than the lines' own jumps, nor than the plain mean of a line would leave, but the trend's."""
        level = 500.0 + np.linspace(0.0, 3.0, LINES) + jumps * rng.normal(size=LINES)
        overscan = np.rint(level[:, None] + read_noise * rng.normal(size=(LINES, PIXELS))).astype(np.uint16)
        left = float(np.std(line_levels(overscan, 0, LINES, is_before=False) - level))
        plain = np.hypot(read_noise, 0.29) / np.sqrt(PIXELS - 2)
        assert left < np.hypot(1.05 * min(plain, jumps), max(0.25 * plain, 0.05))

    def test_light_that_was_carried_over_moves_no_level(self, rng: np.random.Generator) -> None:
        overscan = 500.0 + rng.normal(0.0, 3.0, (LINES, PIXELS))
        overscan[100, :10] += 800.0  # a cosmic ray
        overscan[300] += 60.0  # a full star's line
        overscan[:, :2] += 30.0  # charge that lags behind
        overscan[400] = np.nan
        levels = line_levels(overscan, 0, LINES, is_before=False)
        assert np.abs(levels - 500.0).max() < 1.0

    def test_lines_without_overscan_have_the_nearest_level(self) -> None:
        overscan = np.repeat(np.linspace(100.0, 200.0, 50), 20).reshape(50, 20)
        levels = line_levels(overscan, 10, 100, is_before=False)
        assert levels.shape == (100,)
        assert np.all(levels[:10] == levels[10])
        assert np.all(levels[60:] == levels[59])
        assert levels[35] == pytest.approx(overscan[25, 0], abs=1.0)

    def test_a_single_column_gives_the_trend_alone(self, rng: np.random.Generator) -> None:
        """Its noise is not known, and would all go into the rows."""
        levels = line_levels(rng.normal(500.0, 5.0, (LINES, 1)), 0, LINES, is_before=False)
        assert np.std(levels) < 1.0

    def test_nothing_finite_is_no_level(self) -> None:
        with pytest.raises(UnusableDataError, match="no pixel of the overscan is finite"):
            line_levels(np.full((5, 5), np.nan), 0, 5, is_before=False)


class TestReadOut:
    def test_one_amplifier_is_trimmed_and_each_row_keeps_its_level(self) -> None:
        image = np.arange(6 * 40, dtype=np.uint16).reshape(6, 40) % 7 + 1000
        image[:, 30:] = 900
        readout = Readout((image.shape,), (Amplifier(Window(2, 30, 1, 5), Window(30, 40, 0, 6)),))
        raw = read_out([image], readout)
        assert raw.counts.dtype == np.uint16  # what is saturated is told by counts
        np.testing.assert_array_equal(raw.counts, image[1:5, 2:30])
        np.testing.assert_allclose(raw.signal(), image[1:5, 2:30] - 900.0)
        calibrated, _ = calibrate(raw.counts, pedestal=raw.pedestal, bias=np.full((4, 28), 5.0))
        np.testing.assert_allclose(calibrated, image[1:5, 2:30] - 905.0)
        assert readout.shape == (4, 28)
        assert readout.origin == (2, 1)

    def test_an_overscan_above_gives_each_column_its_level(self) -> None:
        image = np.full((60, 30), 1000.0)
        image[40:] = 900.0 + np.arange(30) * 2.0
        readout = Readout((image.shape,), (Amplifier(Window(0, 30, 0, 40), Window(0, 30, 40, 60)),))
        signal = read_out([image], readout).signal()
        assert np.abs(signal[:, 5:25] - (100.0 - np.arange(5, 25) * 2.0)).max() < 0.5

    def test_one_colour_of_a_trimmed_frame(self) -> None:
        image = np.arange(12 * 15).reshape(12, 15)
        readout = Readout((image.shape,), (Amplifier(Window(3, 15, 1, 12)),), cut=Window(1, 12, 0, 11), phase=(1, 0))
        raw = read_out([image], readout)
        np.testing.assert_array_equal(raw.counts, image[1:12:2, 5:15:2])
        assert readout.shape == raw.counts.shape == (6, 5)
        assert readout.origin == (5, 1)

    def test_amplifiers_are_turned_joined_and_brought_to_one_gain(self, rng: np.random.Generator) -> None:
        sky = rng.uniform(100.0, 200.0, (8, 20))  # e-
        left = np.hstack([sky[:, :10] / 2.0 + 300.0, np.full((8, 10), 300.0)])
        right = np.hstack([sky[:, :9:-1] / 1.6 + 700.0, np.full((8, 10), 700.0)])  # read out from the other end
        data, over = Window(0, 10, 0, 8), Window(10, 20, 0, 8)
        amplifiers = (
            Amplifier(data, over),
            Amplifier(data, over, at=(10, 0), flip=(True, False), factor=1.6 / 2.0, image=1),
        )
        raw = read_out([left, right], Readout(((8, 20), (8, 20)), amplifiers, images=(1, 2)))
        np.testing.assert_allclose(raw.signal() * 2.0, sky, rtol=1e-5)

    def test_another_file_than_was_registered_is_refused(self) -> None:
        readout = Readout(((8, 20),), (Amplifier(Window(0, 10, 0, 8)),))
        with pytest.raises(UnusableDataError, match=r"have 20 x 9 pixels, they had 20 x 8"):
            read_out([np.zeros((9, 20))], readout)


def test_bad_pixels_are_cut_as_the_frame_is(rng: np.random.Generator) -> None:
    mask = rng.integers(0, 3, (8, 20)).astype(np.uint8)
    readout = Readout(((8, 20),), (Amplifier(Window(2, 18, 0, 8), Window(18, 20, 0, 8)),), cut=Window(1, 15, 2, 8))
    np.testing.assert_array_equal(read_bad(mask, readout), mask[2:8, 3:17] != 0)
    with pytest.raises(UnusableDataError, match="its images have 19 x 8 pixels"):
        read_bad(mask[:, 1:], readout)
