"""Stacks against the mean of what is in them."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from pipeline.errors import UnusableDataError
from pipeline.frame.stars import find_stars
from pipeline.registration.alignment import Alignment
from pipeline.stack.aligned_rows import sky_noise
from pipeline.stack.stacking import Stack, clipped_mean, positions_on_reference, stack_frames, weighted_mean
from pipeline.stack.tree import fan_in
from tests.unit.pipeline.star_fields import make_field, noiseless

Image = NDArray[np.float32]
SHAPE = (60, 80)


def _alignment(dx: float, dy: float, rotation: float = 0.0, shape: tuple[int, int] = SHAPE) -> Alignment:
    return Alignment(dx, dy, rotation, 1.0, (shape[1] - 1) / 2, (shape[0] - 1) / 2, 0.1, 10)


def on_reference(frame: Image, alignment: Alignment) -> Image:
    """A stack of one frame: its pixels on those of the reference, NaN beyond it."""
    return stack_frames([frame], [alignment]).image


class TestPixelsOfOneFrame:
    @pytest.mark.parametrize(
        ("dx", "dy", "shift"),
        [(3.4, -2.4, (3, -2)), (3.6, -2.6, (4, -3)), (-0.6, 0.4, (-1, 0)), (70.0, 0.0, (70, 0)), (0.2, 0.3, (0, 0))],
    )
    def test_whole_pixels_are_rounded_to_the_nearest(
        self, rng: np.random.Generator, dx: float, dy: float, shift: tuple[int, int]
    ) -> None:
        sky = rng.normal(0, 1, (260, 280)).astype(np.float32)
        frame, expected = (sky[100 - b : 160 - b, 100 - a : 180 - a] for a, b in (shift, (0, 0)))
        result = on_reference(frame, _alignment(dx, dy))
        seen = np.isfinite(result)
        np.testing.assert_array_equal(result[seen], expected[seen])
        assert seen.sum() == (80 - abs(shift[0])) * (60 - abs(shift[1]))

    def test_a_frame_beyond_the_field_is_blank(self) -> None:
        assert np.isnan(on_reference(np.ones(SHAPE, np.float32), _alignment(90, 0))).all()
        assert np.isnan(on_reference(np.ones(SHAPE, np.float32), _alignment(0, -60))).all()

    def test_a_small_rotation_leaves_noise_and_masks_alone(self, rng: np.random.Generator) -> None:
        frame = rng.normal(0, 1, SHAPE).astype(np.float32)
        frame[10, 10] = np.nan
        result = on_reference(frame, _alignment(0, 0, 0.4))  # corners move by 0.35 px
        np.testing.assert_array_equal(result, frame)

    @pytest.mark.parametrize("rotation", [1.5, -1.0, 179.0])
    def test_a_rotated_frame_lies_on_the_reference(self, rng: np.random.Generator, rotation: float) -> None:
        shape = (300, 400)
        xy = rng.uniform(0.2, 0.8, (40, 2)) * (400, 300)
        found = _alignment(12.3, -7.6, rotation, shape)
        flux = np.full(40, 1e4)
        frame = noiseless(shape, found.to_frame(xy), flux, 4.0).astype(np.float32)
        result = on_reference(frame, found)
        assert np.isnan(result).any()
        expected = noiseless(shape, xy, flux, 4.0)
        seen = np.isfinite(result)
        y, x = np.mgrid[:300, :400]
        # A rotated grid drops or repeats a pixel here and there: flux to a per cent, the mean position to 0.2 px.
        total, expected_total = result[seen].sum(), expected[seen].sum()
        assert total == pytest.approx(expected_total, rel=0.01)
        for axis in (x, y):
            mean = (result * axis)[seen].sum() / total
            assert mean == pytest.approx((expected * axis)[seen].sum() / expected_total, abs=0.2)

    @pytest.mark.parametrize("rotation", [0.0, 0.05, 0.4, 1.0, -1.5, 180.0, 179.2])
    def test_each_pixel_takes_the_nearest_of_the_frame(self, rotation: float) -> None:
        shape = (500, 700)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        found = _alignment(31.3, -17.6, rotation, shape)
        wanted = found.to_frame(np.column_stack([x.ravel(), y.ravel()])).T.reshape(2, *shape)
        for coordinate, place in zip((x, y), wanted, strict=True):
            result = on_reference(coordinate, found)
            seen = np.isfinite(result)
            assert seen.mean() > 0.85
            # Half a pixel by rounding, and what rotation adds from a tile's centre to its corner.
            assert np.abs(result - place)[seen].max() < 0.5 + 0.6

    def test_a_masked_pixel_stays_one_pixel(self) -> None:
        frame = np.ones((101, 101), np.float32)
        frame[50, 50] = np.nan
        result = on_reference(frame, _alignment(0.5, 0.5, 0.3, frame.shape))
        assert np.isnan(result[40:60, 40:60]).sum() == 1

    def test_the_centre_of_the_transformation_need_not_be_the_field_s(self) -> None:
        # About a far centre a tiny rotation is a large shift.
        found = Alignment(0.0, 0.0, 0.05, 1.0, 20000.0, 30.0, 0.1, 9)
        frame = np.zeros(SHAPE, np.float32)
        frame[20, 40] = 1
        moved = found.to_reference(np.array([[40.0, 20.0]]))[0]
        y, x = np.argwhere(on_reference(frame, found) == 1)[0]
        assert np.hypot(x - moved[0], y - moved[1]) < 0.75


class TestWeightedMean:
    @pytest.mark.parametrize("n", [1, 2, 6, 11, 26, 31])
    def test_a_tree_is_the_mean_of_its_leaves(self, rng: np.random.Generator, n: int) -> None:
        frames = rng.normal(100, 10, (n, 12, 15)).astype(np.float32)
        frames[rng.random(frames.shape) < 0.2] = np.nan
        nodes = [Stack.of_frame(frame) for frame in frames]
        for level in fan_in(n):
            nodes = [weighted_mean(nodes[i] for i in node) for node in level]
        seen = np.isfinite(frames).sum(axis=0)
        np.testing.assert_array_equal(nodes[0].weight, seen)
        assert nodes[0].frames == n
        expected = np.nansum(frames, axis=0) / np.where(seen, seen, np.nan)
        np.testing.assert_allclose(nodes[0].image, expected, rtol=3e-6)

    def test_rejected_frames_count_for_nothing(self) -> None:
        good, bad = (np.full((3, 4), value, np.float32) for value in (5, 900))
        mean = weighted_mean([Stack.of_frame(good), Stack.of_frame(bad, weight=0.0)])
        np.testing.assert_array_equal(mean.image, good)
        assert mean.frames == 1
        nothing = weighted_mean([Stack.of_frame(bad, weight=0.0)])
        assert np.isnan(nothing.image).all()
        assert (nothing.weight.sum(), nothing.frames) == (0, 0)

    def test_noise_falls_as_the_square_root(self, rng: np.random.Generator) -> None:
        mean = weighted_mean(Stack.of_frame(rng.normal(0, 10, (200, 200)).astype(np.float32)) for _ in range(25))
        assert mean.image.std() == pytest.approx(2, rel=0.02)

    def test_one_stack_at_a_time_is_asked_for(self) -> None:
        asked: list[int] = []

        def stacks() -> Iterator[Stack]:
            for i in range(3):
                asked.append(i)
                yield Stack.of_frame(np.full((2, 2), i, np.float32))

        assert weighted_mean(stacks()).image[0, 0] == 1
        assert asked == [0, 1, 2]

    def test_what_cannot_be_stacked_is_refused(self) -> None:
        with pytest.raises(UnusableDataError, match="no stack"):
            weighted_mean([])
        with pytest.raises(UnusableDataError, match="shape"):
            weighted_mean(Stack.of_frame(np.ones(shape, np.float32)) for shape in ((2, 2), (2, 3)))


def _by_the_rule(frames: list[Image]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`clipped_mean` in the words of its docstring, for whole images at once: mean and weight."""
    values = np.array(frames, dtype=np.float64)
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    sky = np.sort(np.where(seen, values, 0.0), axis=0)[::-1]  # masked values count as sky
    without = np.where(count < 4, np.minimum(count, 1), 2)
    brightest = np.where(without > 0, sky[0], 0) + (np.where(without > 1, sky[1], 0) if len(frames) > 1 else 0)
    number = np.maximum(count - without, 1)
    limits = np.array([5.0 * sky_noise(frame) for frame in frames])
    others = (sky.sum(axis=0) - brightest) / number - 0.5 * limits.min() / np.sqrt(number)
    tolerance = 5.0 * np.maximum(maximum_filter(others, size=5, mode="nearest"), 0)
    ranked = np.sort(values, axis=0)  # NaN last
    median = np.take_along_axis(ranked, ((np.maximum(count, 1) - 1) // 2)[None], axis=0)[0]
    kept = values <= median + tolerance + limits[:, None, None]
    with np.errstate(invalid="ignore"):
        return np.where(kept, values, 0).sum(axis=0) / kept.sum(axis=0), kept.sum(axis=0)


class TestClippedMean:
    def _frames(self, rng: np.random.Generator, fwhms: tuple[float, ...]) -> tuple[list[Image], NDArray[np.float64]]:
        xy, flux = rng.uniform(15, 185, (40, 2)), 10 ** rng.uniform(3.5, 6, 40)
        fields = [make_field(rng, (200, 200), xy=xy + rng.uniform(-0.5, 0.5, 2), flux=flux, fwhm=f) for f in fwhms]
        return [field.image for field in fields], xy

    @pytest.mark.parametrize(
        "fwhms", [(2.5,) * 5, (2.5, 3.0, 3.5, 4.0, 2.0), (1.6, 3.0, 3.0, 3.0, 3.0), (2, 2, 2, 2, 4), (2, 3), (2, 3, 4)]
    )
    def test_stars_keep_their_light_when_the_seeing_changes(
        self, rng: np.random.Generator, fwhms: tuple[float, ...]
    ) -> None:
        frames, xy = self._frames(rng, fwhms)
        clipped, plain = clipped_mean(frames).image, np.mean(frames, axis=0)
        for x, y in xy:
            box = np.s_[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4]
            assert clipped[box].sum() == pytest.approx(plain[box].sum(), rel=0.003, abs=15)

    @pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
    def test_each_pixel_follows_the_rule(self, rng: np.random.Generator, number: int) -> None:
        frames, xy = self._frames(rng, (2.0, 2.5, 3.0, 3.5, 4.0, 2.0)[:number])
        x, y = np.rint(xy).astype(int).T
        for i, frame in enumerate(frames):
            frame += rng.normal(0, 3.0 * i, frame.shape).astype(np.float32)
            frame[rng.integers(0, 200, 300), rng.integers(0, 200, 300)] += 500
            frame[rng.random(frame.shape) < 0.01] = np.nan  # some in two frames, or in all
            frame[: 3 * i] = frame[:, : 2 * i] = np.nan  # blank borders
        frames[0][y + 3, x] += 2000  # where a neighbour's brightness decides
        stack = clipped_mean(frames)
        mean, weight = _by_the_rule(frames)
        np.testing.assert_array_equal(stack.weight, weight)
        np.testing.assert_allclose(stack.image, mean, rtol=1e-5, atol=1e-3)  # float32 sums of up to 1e5 ADU

    @pytest.mark.parametrize("rows", [3, 7, 200])
    def test_no_pixel_depends_on_where_its_block_begins(
        self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, rows: int
    ) -> None:
        frames, xy = self._frames(rng, (2.0, 2.5, 3.0, 3.5, 4.0))
        x, y = np.rint(xy).astype(int).T
        frames[1][y + 3, x] += 2000  # where a neighbour's brightness decides
        expected = clipped_mean(frames)
        monkeypatch.setattr("pipeline.stack.aligned_rows.CLIP_ROWS", rows)
        found = clipped_mean(frames)
        np.testing.assert_array_equal(found.weight, expected.weight)
        np.testing.assert_array_equal(found.image, expected.image)

    @pytest.mark.parametrize("number", [2, 3, 4, 5])
    def test_hot_pixels_and_trails_are_left_out(self, rng: np.random.Generator, number: int) -> None:
        frames = [rng.normal(0, 10, (200, 200)).astype(np.float32) for _ in range(number)]
        y, x = rng.integers(0, 95, (2, 300))
        frames[0][y, x] += 400
        frames[1][100:103, :] += 250
        stack = clipped_mean(frames)
        assert np.abs(stack.image).max() < 60
        assert np.median(stack.weight[100:103]) == number - 1
        assert stack.weight.max() == number

    def test_twice_the_same_place_is_left_out_too(self, rng: np.random.Generator) -> None:
        frames = [rng.normal(0, 10, (50, 50)).astype(np.float32) for _ in range(5)]
        frames[0][20, 20] = frames[1][20, 20] = 500
        stack = clipped_mean(frames)
        assert stack.weight[20, 20] == 3
        assert abs(stack.image[20, 20]) < 30

    def test_noise_is_not_clipped(self, rng: np.random.Generator) -> None:
        stack = clipped_mean([rng.normal(0, 10, (400, 400)).astype(np.float32) for _ in range(5)])
        assert abs(stack.image.mean()) < 0.05
        assert stack.image.std() == pytest.approx(10 / np.sqrt(5), rel=0.01)
        assert (stack.weight < 5).mean() < 1e-4

    def test_masked_pixels_and_blank_frames(self, rng: np.random.Generator) -> None:
        frames = [rng.normal(0, 10, (70, 50)).astype(np.float32) for _ in range(3)]
        frames[0][:40], frames[1][:20], frames[2][:10] = np.nan, np.nan, np.nan
        blank = np.full((70, 50), np.nan, np.float32)
        stack = clipped_mean([*frames, blank])
        assert np.isnan(stack.image[:10]).all()
        for rows, number in ((slice(10, 20), 1), (slice(20, 40), 2), (slice(40, 70), 3)):
            assert (stack.weight[rows] == number).mean() > 0.99
        np.testing.assert_array_equal(np.isnan(stack.image), stack.weight == 0)
        np.testing.assert_array_equal(stack.image[10:20], frames[2][10:20])

    def test_what_cannot_be_combined_is_refused(self) -> None:
        with pytest.raises(UnusableDataError, match="no frame"):
            clipped_mean([])
        with pytest.raises(UnusableDataError, match="shape"):
            clipped_mean([np.ones((2, 2), np.float32), np.ones((2, 3), np.float32)])


class TestSuspects:
    """Pixels that look like cosmic rays: a single frame cannot tell the cores of very sharp stars from them."""

    @pytest.mark.parametrize("rotation", [0.0, 0.4, 180.0])
    def test_sharp_stars_keep_their_light(self, rng: np.random.Generator, rotation: float) -> None:
        shape = (120, 120)
        xy = np.stack(np.meshgrid(np.arange(20, 110, 16.0), np.arange(20, 110, 16.0)), axis=-1).reshape(-1, 2)
        xy, flux = xy + rng.uniform(-0.5, 0.5, xy.shape), np.full(len(xy), 2e4)
        alignments = [_alignment(1.3 * step, -0.7 * step, rotation * (step > 1), shape) for step in range(5)]
        places = [one.to_frame(xy) for one in alignments]
        frames = [noiseless(shape, place, flux, 1.3) + rng.normal(0, 10, shape) for place in places]
        frames = [frame.astype(np.float32) for frame in frames]
        cores = [np.ravel_multi_index(np.rint(place).astype(int).T[::-1], shape) for place in places]
        stack = stack_frames(frames, alignments, [np.unique(each) for each in cores])
        for x, y in np.rint(xy).astype(int):
            assert stack.image[y - 4 : y + 5, x - 4 : x + 5].sum() == pytest.approx(2e4, rel=0.03)

    def test_hot_pixels_under_a_steady_sky_stay_out(self, rng: np.random.Generator) -> None:
        frames = [rng.normal(0, 10, (60, 60)).astype(np.float32) for _ in range(5)]
        hot = np.ravel_multi_index((np.arange(5, 55, 5), np.arange(5, 55, 5)), (60, 60))
        for frame in frames:
            frame.ravel()[hot] += 400
        stack = stack_frames(frames, [_alignment(0.0, 0.0, shape=(60, 60))] * 5, [hot] * 5)
        assert (stack.weight.ravel()[hot] == 0).all()
        assert np.isnan(stack.image.ravel()[hot]).all()

    def test_a_ray_in_one_frame_stays_out(self, rng: np.random.Generator) -> None:
        frames = [rng.normal(0, 10, (60, 60)).astype(np.float32) for _ in range(2)]
        frames[0][30, 30] += 400
        suspects = [np.array([30 * 60 + 30]), np.empty(0, np.intp)]
        stack = stack_frames(frames, [_alignment(0.0, 0.0, shape=(60, 60))] * 2, suspects)
        assert stack.weight[30, 30] == 1
        assert stack.image[30, 30] == frames[1][30, 30]


class TestPositionsOnReference:
    @pytest.mark.parametrize(("flip", "rotation"), [(0.0, 0.0), (0.0, 0.25), (0.0, -1.2), (180.0, 0.3)])
    def test_stars_of_a_stack_lie_where_the_reference_has_them(
        self, rng: np.random.Generator, flip: float, rotation: float
    ) -> None:
        """Shifts of 0.3 px in five frames: the stack's stars lie 0.3 px beside, or elsewhere in each tile."""
        shape = (300, 400)
        grid = np.stack(np.meshgrid(np.arange(40, 380, 40), np.arange(40, 280, 40)), axis=-1).reshape(-1, 2)
        xy = grid + rng.uniform(-5, 5, grid.shape)
        flux = np.full(len(xy), 1e5)
        alignments = [_alignment(3.3 + step, -2.3 + step, flip + rotation * step / 4, shape) for step in range(5)]
        frames = [noiseless(shape, one.to_frame(xy), flux, 3.5).astype(np.float32) for one in alignments]
        frames = [frame + rng.normal(0, 1.0, shape).astype(np.float32) for frame in frames]
        stack = stack_frames(frames, alignments)
        stars = find_stars(np.nan_to_num(stack.image), 0.5)
        found = np.column_stack([stars["x"], stars["y"]])
        nearest = np.hypot(*(found[:, None] - xy).transpose(2, 0, 1)).argmin(axis=0)
        assert np.unique(nearest).size == len(xy)
        before = found[nearest] - xy
        after = positions_on_reference(found[nearest], alignments, shape) - xy
        assert np.hypot(*np.median(before, axis=0)) > 0.1 or rotation not in (0.0, 0.25)
        assert np.hypot(*np.median(after, axis=0)) < 0.02
        assert np.sqrt((after**2).sum(axis=1).mean()) < max(0.03, 0.6 * np.sqrt((before**2).sum(axis=1).mean()))

    def test_a_stack_of_whole_shifts_stays(self, rng: np.random.Generator) -> None:
        xy = rng.uniform(10, 50, (20, 2))
        alignments = [_alignment(2.0, -1.0), _alignment(0.0, 3.0)]
        np.testing.assert_allclose(positions_on_reference(xy, alignments, SHAPE), xy, atol=1e-12)

    def test_frames_that_do_not_see_a_star_say_nothing(self) -> None:
        xy = np.array([[70.0, 30.0], [10.0, 30.0]])
        alignments = [_alignment(0.0, 0.0), _alignment(40.4, 0.0)]  # the second frame ends at x = 39
        found = positions_on_reference(xy, alignments, SHAPE)
        np.testing.assert_allclose(found, [[70.0, 30.0], [10.0 - 0.2, 30.0]], atol=1e-12)
        beyond = np.array([[90.0, 30.0]])
        np.testing.assert_allclose(positions_on_reference(beyond, alignments[1:], SHAPE), beyond)


@pytest.mark.parametrize("rotation", [0.0, 0.4, 180.0])
def test_frames_of_which_a_window_is_in_memory_give_the_same_stack(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, rotation: float
) -> None:
    shape = (150, 90)
    frames = [rng.normal(0, 10, shape).astype(np.float32) for _ in range(5)]
    suspects = [np.unique(rng.integers(0, 150 * 90, 200)) for _ in frames]
    for frame, each in zip(frames, suspects, strict=True):
        frame.reshape(-1)[each] += 500
        frame.reshape(-1)[rng.integers(0, 150 * 90, 50)] = np.nan
    alignments = [_alignment(3.0 * i, -4.0 * i, rotation, shape) for i in range(5)]
    monkeypatch.setattr("pipeline.stack.aligned_rows.NOISE_SAMPLE", 700)
    whole = stack_frames(frames, alignments, suspects)
    monkeypatch.setattr("pipeline.stack.aligned_rows.WINDOW_PIXELS", 40 * 90)
    small = stack_frames(frames, alignments, suspects)
    np.testing.assert_array_equal(small.weight, whole.weight)
    np.testing.assert_array_equal(small.image, whole.image)
