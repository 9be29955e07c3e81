"""Gain, read noise, linearity and saturation of simulated cameras lie within the errors that are stated."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.detector.box_noise import box_pairs
from pipeline.detector.linearity import dark_rate, linearity
from pipeline.detector.photon_transfer import (
    Boxes,
    Estimate,
    ReadVariance,
    Transfer,
    curve,
    fit_transfer,
    read_variance,
    together,
    turn_over,
)
from pipeline.detector.pixel_defects import Defects

SIDE, SEEDS = 192, 40
BIAS = 300.0
PULL_RANGE = (0.75, 1.35)  # of the pulls' scatter over SEEDS: 3 sigma of it is a third

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    gain: float = 1.6  # e-/ADU
    read: float = 8.0  # e-
    pattern: float = 0.05
    step: int = 1
    tail: float = 0.0  # of the level lost at 60,000 ADU, growing as its cube
    top: float = 65535.0
    well: float = 1e6  # ADU above the bias, beyond which a tenth of the light is counted
    hot: int = 60
    hot_charge: float = 100.0  # e-, in flats; the longer they are the more

    def expose(self, rng: np.random.Generator, electrons: float, tilt: float = 0.0) -> Floats:
        fixed = np.random.default_rng(99)  # the same in all frames
        response = 1.0 + self.pattern * fixed.standard_normal((SIDE, SIDE))
        place = fixed.integers(0, SIDE, (2, self.hot))
        mean = electrons * response * (1.0 + tilt * np.linspace(-1, 1, SIDE)[:, None])
        dark = self.hot_charge * np.exp(fixed.normal(0.0, 1.5, self.hot))
        mean[place[0], place[1]] += dark if electrons else 0.0  # a bias frame takes no time
        adu = (rng.poisson(mean) + self.read * rng.standard_normal(mean.shape)) / self.gain
        adu = adu * (1.0 - self.tail * np.clip(adu / 60000.0, 0, None) ** 3) + BIAS
        adu = np.minimum(adu, self.well + 0.1 * (adu - self.well))
        return np.clip(np.round(adu / self.step) * self.step, 0, self.top)


def measured(camera: Detector, rng: np.random.Generator, levels: Floats) -> tuple[ReadVariance, Transfer | None, Boxes]:
    """Bias frames, and pairs of flats (ADU) of which the second is fainter by an eighth, tilted otherwise."""
    bias = [camera.expose(rng, 0.0) for _ in range(4)]
    zero = np.mean(bias, axis=0)
    reads = [read_variance(*bias[:2], camera.step), read_variance(*bias[2:], camera.step)]
    found = [one for one in reads if one is not None]
    read = ReadVariance(together([one.whole for one in found]), together([one.checkers for one in found]))
    pairs = [
        box_pairs(
            camera.expose(rng, level * camera.gain, 0.1) - zero,
            camera.expose(rng, 0.88 * level * camera.gain, -0.05) - zero,
        )
        for level in levels
    ]
    a, b, variance = (np.concatenate(column) for column in zip(*pairs, strict=True))
    boxes = Boxes(a, a / b, variance)
    return read, fit_transfer(boxes, read.checkers, None), boxes


CAMERAS = {
    "plain": Detector(),
    "12 bits, times 16": Detector(gain=0.25, read=4.0, step=16),
    "quiet": Detector(gain=1.0, read=1.5),
    "noisy": Detector(gain=2.5, read=25.0),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_gain_and_read_noise_are_within_their_errors(name: str) -> None:
    camera = CAMERAS[name]
    pulls = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        read, transfer, _ = measured(camera, rng, np.array([1000.0, 4000.0, 12000.0, 30000.0]))
        assert transfer is not None
        rms = np.sqrt(read.whole.value - camera.step**2 / 12.0)
        rms_error = read.whole.error / (2.0 * rms)
        gain = transfer.gain
        pulls.append(((gain.value - camera.gain) / gain.error, (rms - camera.read / camera.gain) / rms_error))
        assert gain.error < 0.04 * gain.value
    means, scatters = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    assert (np.abs(means) < 0.6).all(), means
    assert (scatters > 0.5).all(), scatters
    assert (scatters < 1.4).all(), scatters


def test_a_tail_that_is_not_linear_is_found_by_a_lamp_and_leaves_the_gain() -> None:
    camera, rng = Detector(tail=0.05), np.random.default_rng(5)
    times = np.repeat([0.5, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20], 2).astype(float)
    levels = np.array([np.median(camera.expose(rng, 3000.0 * camera.gain * (t + 0.02))) - BIAS for t in times])
    found = linearity(times, levels)
    assert found is not None
    assert found.limit is not None
    assert not found.limit.bound
    true = 60000.0 * (0.01 / 0.05) ** (1.0 / 3.0)  # 1 % lost there
    assert abs(found.limit.value - true) < 2.0 * found.limit.error
    _, transfer, _ = measured(camera, rng, np.array([1000.0, 3000.0, 9000.0, 20000.0, 40000.0]))
    assert transfer is not None
    assert abs(transfer.gain.value - camera.gain) < 4.0 * transfer.gain.error


@pytest.mark.parametrize(
    ("camera", "levels"),
    [
        (Detector(hot=SIDE**2 // 50, hot_charge=250.0), [500.0, 1000.0, 3000.0]),  # long flats of a warm camera
        (Detector(tail=0.05), [1000.0, 3000.0, 9000.0, 20000.0, 40000.0]),
        (Detector(tail=0.10), [1000.0, 3000.0, 9000.0, 20000.0, 40000.0]),
        (Detector(tail=0.05), [20000.0, 30000.0, 45000.0]),  # too alike to see the bend
    ],
)
def test_the_error_of_the_gain_covers_what_hot_pixels_and_a_tail_do_to_it(
    camera: Detector, levels: list[float]
) -> None:
    pulls = []
    for seed in range(SEEDS // 4):
        _, transfer, _ = measured(camera, np.random.default_rng(seed), np.array(levels))
        assert transfer is not None
        pulls.append((transfer.gain.value - camera.gain) / transfer.gain.error)
        assert transfer.gain.error < 0.1 * camera.gain
    assert abs(np.mean(pulls)) < 1.2, pulls
    assert np.max(np.abs(pulls)) < 3.0, pulls


def test_a_lamp_that_changes_gives_no_limit_and_a_linear_camera_a_lower_bound() -> None:
    times, rng = np.arange(1.0, 13.0), np.random.default_rng(6)
    steady = linearity(times, 3000.0 * times * (1 + 1e-3 * rng.standard_normal(12)))
    fading = linearity(times, 3000.0 * times * (1 + 0.03 * rng.standard_normal(12)))
    assert steady is not None
    assert steady.limit is not None
    assert steady.limit.bound == "at least"
    assert fading is not None
    assert fading.limit is None
    assert linearity(times[:3], 3000.0 * times[:3]) is None


def test_a_well_that_is_full_turns_the_variance_over() -> None:
    camera, rng = Detector(well=30000.0), np.random.default_rng(7)
    _, _, boxes = measured(camera, rng, np.linspace(2000.0, 50000.0, 25))
    turn = turn_over(*curve(boxes, 25.0))
    assert turn is not None
    assert abs(turn.value - 29000.0) < 2000.0 + turn.error
    _, _, boxes = measured(Detector(), rng, np.linspace(2000.0, 40000.0, 6))
    assert turn_over(*curve(boxes, 25.0)) is None


def test_twice_the_same_flat_has_no_gain() -> None:
    level = np.linspace(1000.0, 2000.0, 64)
    assert fit_transfer(Boxes(level, np.ones(64), np.full(64, 50.0)), Estimate(25.0, 0.1), None) is None


def test_dark_current_is_within_its_error() -> None:
    pulls = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = np.array([0.0] * 8 + [30.0] * 4 + [120.0] * 4)
        rate = dark_rate(times, 0.05 * times + 0.4 * rng.standard_normal(16))
        assert rate is not None
        pulls.append((rate.value - 0.05) / rate.error)
    assert abs(np.mean(pulls)) < 0.25
    assert PULL_RANGE[0] < np.std(pulls) < PULL_RANGE[1]
    assert dark_rate(np.zeros(5), np.zeros(5)) is None


def test_hot_and_dead_pixels_are_counted_and_cosmic_rays_are_not() -> None:
    hot, dead = Defects(), Defects()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        dark, flat = 5.0 * rng.standard_normal((100, 70)), rng.normal(9000.0, 80.0, (100, 70))
        dark[10, :20] += 900.0
        flat[50:53, 60:70] *= 0.2
        dark[rng.integers(20, 100, 30), rng.integers(0, 70, 30)] += 2000.0
        dark[0, 0] = flat[0, 0] = np.nan  # masked by the file
        hot.add_dark(dark)
        dead.add_flat(flat * np.linspace(0.6, 1.0, 70))
    assert np.sum(hot.mask()) == 20
    assert np.sum(dead.mask()) == 30
