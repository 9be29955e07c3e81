"""Masters against what they were made of."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.detector.masters import FlatMethod, combine_clipped, combine_flat, combine_mean, read_noise
from pipeline.detector.readout import RawPixels
from pipeline.errors import UnusableDataError

SHAPE = (96, 128)
COUNTS = 20000.0  # electrons of a flat's pixel


def _rows(flats: list[NDArray[np.float32]]):  # type: ignore[no-untyped-def]
    return lambda i, rows: flats[i][rows]


def _response() -> NDArray[np.float64]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    response = 1 - 0.3 * (((x - 64) / 128) ** 2 + ((y - 48) / 96) ** 2)
    return np.asarray(response / response.mean())


def _flats(rng: np.random.Generator, number: int = 7) -> list[NDArray[np.float32]]:
    return [rng.poisson(_response() * COUNTS * rng.uniform(0.7, 1.3)).astype(np.float32) for _ in range(number)]


def _master(flats: list[NDArray[np.float32]], method: FlatMethod, **options: int) -> NDArray[np.float32]:
    return combine_flat(_rows(flats), [float(np.nanmean(f)) for f in flats], SHAPE, method, **options)


class TestCombineMean:
    def test_a_tree_of_means_is_the_mean_of_all(self, rng: np.random.Generator) -> None:
        frames = [rng.normal(300, 5, SHAPE).astype(np.float32) for _ in range(8)]
        first, second = combine_mean(frames[:5], [1] * 5), combine_mean(frames[5:], [1] * 3)
        root = combine_mean(iter([first, second]), [5, 3])
        assert root.dtype == np.float32
        np.testing.assert_allclose(root, np.mean(frames, axis=0), rtol=1e-6)

    def test_its_noise_falls_as_the_square_root(self, rng: np.random.Generator) -> None:
        frames = (rng.normal(1000, 8, (300, 300)).astype(np.uint16) for _ in range(16))
        assert combine_mean(frames, [1.0] * 16).std() == pytest.approx(8 / 4, rel=0.02)

    @pytest.mark.parametrize(
        ("images", "weights", "message"),
        [
            ([], [], "no image to combine"),
            ([np.ones((2, 2)), np.ones((3, 2))], [1, 1], "shape"),
            ([np.ones((2, 2))], [1, 1], "1 images for 2 weights"),
            ([np.ones((2, 2))] * 2, [1], "more images"),
            ([np.ones((2, 2))], [0], "weight 0"),
        ],
    )
    def test_what_cannot_be_combined_is_refused(
        self, images: list[NDArray[np.float64]], weights: list[float], message: str
    ) -> None:
        with pytest.raises(UnusableDataError, match=message):
            combine_mean(images, weights)


class TestReadNoise:
    def test_it_ignores_fixed_pattern_drift_and_cosmic_rays(self, rng: np.random.Generator) -> None:
        pattern = rng.normal(300, 40, (200, 200))
        frames = [np.rint(pattern + drift + rng.normal(0, 5, pattern.shape)) for drift in (0, 3, -2, 5)]
        for frame in frames:
            frame[rng.integers(0, 200, 80), rng.integers(0, 200, 80)] += 2000
        assert read_noise(frames) == pytest.approx(np.hypot(5, np.sqrt(1 / 12)), rel=0.01)

    def test_noise_below_one_count_is_measured(self, rng: np.random.Generator) -> None:
        frames = [np.rint(rng.normal(300.2, 0.6, (300, 300))) for _ in range(3)]
        assert read_noise(frames) == pytest.approx(np.hypot(0.6, np.sqrt(1 / 12)), rel=0.03)

    def test_one_frame_tells_nothing(self) -> None:
        assert np.isnan(read_noise([np.ones((4, 4))]))
        assert np.isnan(read_noise([]))


class TestCombineFlat:
    @pytest.mark.parametrize(("method", "excess"), [("clipped_mean", 1.1), ("mode", 2.6)])
    def test_it_is_the_response_within_photon_noise(
        self, rng: np.random.Generator, method: FlatMethod, excess: float
    ) -> None:
        error = _master(_flats(rng), method) / _response() - 1
        photon_noise = float(np.sqrt(1 / (7 * COUNTS)))
        assert abs(error.mean()) < 1e-5
        assert photon_noise * 0.9 < error.std() < excess * photon_noise

    def test_the_mode_is_noisier_than_the_clipped_mean(self, rng: np.random.Generator) -> None:
        flats = _flats(rng)
        noise = {method: (_master(flats, method) / _response()).std() for method in ("mode", "clipped_mean")}
        assert noise["mode"] > 1.7 * noise["clipped_mean"]

    def test_stars_of_twilight_flats_leave_less_in_the_clipped_mean_than_in_a_mean(
        self, rng: np.random.Generator
    ) -> None:
        flats = _flats(rng)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        touched = np.zeros(SHAPE, np.bool_)
        for flat in flats:
            for x0, y0 in rng.uniform(5, 90, (12, 2)):
                star = 8000 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 1.5**2))
                flat += star.astype(np.float32)
                touched |= star > 20
        means = [float(f.mean()) for f in flats]
        plain = np.average([f / m for f, m in zip(flats, means, strict=True)], axis=0, weights=means)
        residue = {
            "mean": plain / _response() - 1,
            "mode": _master(flats, "mode") / _response() - 1,
            "clipped_mean": _master(flats, "clipped_mean") / _response() - 1,
        }
        rms = {name: float(np.sqrt(np.mean(r[touched] ** 2))) for name, r in residue.items()}
        assert rms["clipped_mean"] < 0.2 * rms["mean"]
        assert rms["clipped_mean"] < 0.2 * rms["mode"]

    def test_blocks_do_not_show(self, rng: np.random.Generator) -> None:
        flats = _flats(rng)
        np.testing.assert_array_equal(_master(flats, "mode", block_rows=7), _master(flats, "mode", block_rows=96))
        # The scatter that clips is a block's own, so single pixels may differ, by less than their noise.
        coarse, fine = _master(flats, "clipped_mean", block_rows=96), _master(flats, "clipped_mean", block_rows=7)
        assert np.abs(coarse - fine).max() < 5 * np.sqrt(1 / (7 * COUNTS))

    @pytest.mark.parametrize(("values", "most_rows"), [(1, 20), (3 * 50 * SHAPE[1], 40), (10**9, SHAPE[0])])
    def test_no_more_is_read_than_allowed_and_the_master_is_the_same(
        self, rng: np.random.Generator, values: int, most_rows: int
    ) -> None:
        flats, heights = _flats(rng, 3), []

        def read(i: int, rows: slice) -> NDArray[np.float32]:
            heights.append(rows.stop - rows.start)
            return flats[i][rows]

        means = [float(f.mean()) for f in flats]
        master = combine_flat(read, means, SHAPE, "clipped_mean", block_rows=20, read_values=values)
        assert max(heights) == most_rows
        assert sum(heights) == 3 * SHAPE[0]
        np.testing.assert_array_equal(master, _master(flats, "clipped_mean", block_rows=20))

    @pytest.mark.parametrize("method", ["mode", "clipped_mean"])
    def test_unusable_pixels_are_nan_and_the_rest_has_mean_one(
        self, rng: np.random.Generator, method: FlatMethod
    ) -> None:
        flats = _flats(rng)
        for flat in flats:
            flat[3, 4], flat[5, 6], flat[7, 8] = 0.05 * COUNTS, np.nan, -10
        master = _master(flats, method)
        assert np.isnan(master[[3, 5, 7], [4, 6, 8]]).all()
        assert np.isnan(master).sum() == 3
        assert np.nanmean(master, dtype=np.float64) == pytest.approx(1, abs=1e-6)

    def test_one_flat_is_a_master(self, rng: np.random.Generator) -> None:
        (flat,) = _flats(rng, 1)
        np.testing.assert_allclose(_master([flat], "clipped_mean"), flat / flat.mean(), rtol=1e-5)

    @pytest.mark.parametrize(
        ("means", "message"), [([], "no flat"), ([100.0, 0.0], "flat 1 has mean 0"), ([float("nan")], "flat 0")]
    )
    def test_flats_that_cannot_serve_are_refused(self, means: list[float], message: str) -> None:
        with pytest.raises(UnusableDataError, match=message):
            combine_flat(lambda i, rows: np.ones((96, 128))[rows], means, SHAPE, "mode")


def test_cosmic_rays_in_one_frame_do_not_reach_the_master(rng: np.random.Generator) -> None:
    frames = rng.normal(1000.0, 5.0, (5, 100, 90))
    clean = frames.mean(axis=0)
    frames[2, 40, 10:20] += 4000.0
    frames[4, 70, 50] += 60.0
    master = combine_clipped(list(frames))
    assert master.dtype == np.float32
    hit = np.zeros(clean.shape, bool)
    hit[40, 10:20] = hit[70, 50] = True
    assert np.abs(master[hit] - 1000.0).max() < 4 * 5.0 / 2
    assert master[~hit] == pytest.approx(clean[~hit], abs=1e-3)


def test_hot_pixels_keep_the_mean_of_their_own_noise(rng: np.random.Generator) -> None:
    frames = rng.normal(1000.0, 5.0, (5, 200, 200))
    frames[:, ::4, ::4] = rng.normal(6000.0, 80.0, (5, 50, 50))
    master = combine_clipped(list(frames))
    assert master[::4, ::4].mean() == pytest.approx(frames[:, ::4, ::4].mean(), abs=3 * 80 / np.sqrt(5 * 2500))


@pytest.mark.parametrize("number", [1, 2])
def test_one_or_two_frames_are_averaged_as_they_are(rng: np.random.Generator, number: int) -> None:
    frames = rng.normal(1000.0, 5.0, (number, 20, 20))
    frames[0, 3, 3] += 500.0
    assert combine_clipped(list(frames)) == pytest.approx(frames.mean(axis=0), abs=1e-3)


@pytest.mark.parametrize("pedestal", [(150, 1), (1, 90), (150, 90)], ids=["a row", "a column", "a pixel"])
def test_a_level_is_taken_off_a_few_rows_at_a_time_as_off_the_whole(
    rng: np.random.Generator, pedestal: tuple[int, int]
) -> None:
    shape = (150, 90)  # more rows than one block
    frames = [
        RawPixels(
            rng.normal(1000.0, 5.0, shape).astype(np.uint16),
            rng.normal(900.0, 3.0, pedestal).astype(np.float32),
            rng.uniform(0.9, 1.1, shape).astype(np.float32),
        )
        for _ in range(5)
    ]
    master, noise = combine_clipped(frames), read_noise(frames)
    whole = [(frame.counts.astype(np.float32) - frame.pedestal) * frame.factor for frame in frames]
    np.testing.assert_array_equal(master, combine_clipped(whole))
    assert noise == read_noise(whole)
    for frame, signal in zip(frames, whole, strict=True):
        np.testing.assert_array_equal(frame.compact().signal(), signal)
