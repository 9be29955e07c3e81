"""A star's own sharp light is no cosmic ray, a hit on it is: told by the template, with injected energies."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.aperture.aperture_flux import Measurement, default_apertures, measure
from pipeline.aperture.own_light import judge_pixels
from pipeline.detector.detector_masks import Defects
from pipeline.flags import Flag
from pipeline.frame.frame_masks import mask_frame
from pipeline.frame.masked_pixels import PixelBit
from pipeline.noise import FrameNoise
from pipeline.registration.alignment import Alignment
from pipeline.stack.stacking import stack_frames
from tests.unit.pipeline.star_fields import noiseless

SHAPE = (240, 240)
SKY, RMS = 100.0, 10.0
NO_DEFECTS = Defects(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32))
WIDTHS = {"sharp among wide": [1.3] + [2.6] * 9, "undersampled": [1.6] * 10, "ordinary": [3.0] * 10}  # FWHM, px
KNOTS = 12  # of a defocused star, px apart by a few


@dataclass(frozen=True)
class Night:
    """Frames of stars that lie ``xy`` on the first; ``bits`` as `mask_frame` gives them; the first is looked at."""

    frames: list[NDArray[np.float32]]
    bits: list[NDArray[np.uint8]]
    alignments: list[Alignment]
    xy: NDArray[np.float64]
    flux: NDArray[np.float64]

    @property
    def template(self) -> NDArray[np.float32]:
        suspects = [np.flatnonzero(bits & PixelBit.COSMIC) for bits in self.bits]
        return stack_frames(self.frames, self.alignments, suspects).image

    def judged(self, frame: int = 0, gain: float | None = 1.0) -> NDArray[np.uint8]:
        """As `extract` does it."""
        radius, judged = max(default_apertures(2.6).radii), self.bits[frame].copy()
        new = judge_pixels(
            self.frames[frame], judged, self.template, self.alignments[frame], self.xy, radius,
            FrameNoise(RMS, gain=gain),
        )  # fmt: skip
        np.testing.assert_array_equal(new, np.flatnonzero((judged > 0) & (self.bits[frame] == 0)))
        return judged

    def measured(self, bits: NDArray[np.uint8], frame: int = 0) -> Measurement:
        place = self.alignments[frame].to_frame(self.xy)
        apertures = default_apertures(2.6)
        image = self.frames[frame]
        return measure(image, place, apertures, FrameNoise(RMS, gain=1.0, background_level=SKY), bits=bits)


def make_night(
    rng: np.random.Generator,
    shapes: str,
    *,
    hits: list[tuple[int, float, float, float]] | None = None,
    brighter: dict[int, float] | None = None,
    turned: bool = False,
) -> Night:
    """Five frames a few pixels apart; ``hits`` on the first: star, offset in x and y (px), energy (ADU)."""
    grid = np.arange(22.0, 220.0, 28.0)
    xy = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2) + rng.uniform(-0.5, 0.5, (grid.size**2, 2))
    flux = 10 ** rng.uniform(4, 5.8, len(xy))
    knots = rng.uniform(-3.5, 3.5, (KNOTS, 2)) if shapes == "defocused" else np.zeros((1, 2))
    parts = flux[:, None] * (rng.dirichlet(np.full(KNOTS, 0.7), len(xy)) if shapes == "defocused" else 1.0)
    width = np.array([1.2] * 10 if shapes == "defocused" else WIDTHS[shapes])[np.arange(len(xy)) % 10]
    identity = Alignment.identity(SHAPE)
    frames, bits, alignments = [], [], []
    for number in range(5):
        dx, dy = rng.uniform(-3, 3, 2) if number else (0.0, 0.0)
        alignment = replace(identity, dx=float(dx), dy=float(dy), rotation=180.0 if turned and not number else 0.0)
        places, light = alignment.to_frame(xy), np.ones(len(xy))
        for star, factor in (brighter or {}).items() if not number else ():
            light[star] = factor
        scene = np.zeros(SHAPE)
        for fwhm in np.unique(width):
            some = width == fwhm
            at = (places[some][:, None] + (knots if not (turned and not number) else -knots)).reshape(-1, 2)
            scene += noiseless(SHAPE, at, (parts * light[:, None])[some].ravel(), fwhm)
        frame = (rng.poisson(scene + SKY) - SKY).astype(np.float32)
        for star, x, y, energy in (hits or []) if not number else ():
            column, row = np.rint(places[star] + (x, y)).astype(int)
            frame[row, column] += energy
        frames.append(frame)
        bits.append(mask_frame(frame, RMS, exposure=60.0, defects=NO_DEFECTS).bits)
        alignments.append(alignment)
    return Night(frames, bits, alignments, xy, flux)


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "meridian flip"])
@pytest.mark.parametrize("shapes", ["sharp among wide", "defocused"])
def test_stars_keep_their_sharp_light(rng: np.random.Generator, shapes: str, turned: bool) -> None:
    night = make_night(rng, shapes, turned=turned)
    assert np.count_nonzero(night.bits[0] & PixelBit.COSMIC) > 4  # a frame by itself takes cores for hits
    bits = night.judged()
    assert not (bits & PixelBit.COSMIC).any()
    found = night.measured(bits)
    true = night.measured(np.zeros_like(bits))
    np.testing.assert_array_equal(found.flux, true.flux)
    assert not (found.flag & Flag.COSMIC_RAY).any()


@pytest.mark.parametrize("gain", [1.0, None], ids=["gain", "no gain"])
@pytest.mark.parametrize("shapes", [*WIDTHS, "defocused"])
def test_hits_on_stars_are_found(rng: np.random.Generator, shapes: str, gain: float | None) -> None:
    """From 12 errors of the star's flux upwards, or the share of it by which the template may err."""
    stars = [3, 17, 31, 40]
    share = 0.2 if shapes == "undersampled" else 0.05  # frames of other sub-pixel shifts tell little of such cores
    plain = make_night(np.random.default_rng(7), shapes)
    error = plain.measured(np.zeros_like(plain.bits[0])).error[:, 1]
    places = [(0, 0), (1, 0), (0, -2), (-1, 1)]
    energy = [float(max(12 * error[star], share * plain.flux[star])) for star in stars]
    hits = [(star, *place, each) for star, place, each in zip(stars, places, energy, strict=True)]
    night = make_night(np.random.default_rng(7), shapes, hits=hits)
    bits = night.judged(gain=gain)
    found = night.measured(bits)
    assert (found.flag[stars, -1] & Flag.COSMIC_RAY).all()
    others = np.delete(found.flag, stars, axis=0)
    assert not (others & Flag.COSMIC_RAY).any()


@pytest.mark.parametrize("shapes", ["undersampled", "ordinary"])
def test_a_track_that_enters_an_aperture_is_found(shapes: str) -> None:
    """Within it each pixel of the track is a small part of the star's light; outside the same charge stands out."""
    stars = [3, 17, 31, 40]
    plain = make_night(np.random.default_rng(7), shapes)
    error = plain.measured(np.zeros_like(plain.bits[0])).error[:, -1]
    track = [(3.0, float(y)) for y in range(-2, 3)] + [(4.0, -3.0), (4.0, 3.0)]
    hits = [(star, x, y, float(max(5 * error[star], 100.0))) for star in stars for x, y in track]
    night = make_night(np.random.default_rng(7), shapes, hits=hits)
    # As if the frame by itself had seen nothing.
    found = night.measured(replace(night, bits=[np.zeros_like(night.bits[0]), *night.bits[1:]]).judged())
    assert (found.flag[stars, -1] & Flag.COSMIC_RAY).all()
    assert not (np.delete(found.flag, stars, axis=0) & Flag.COSMIC_RAY).any()


def test_hits_on_the_sky_stay_hits(rng: np.random.Generator) -> None:
    night = make_night(rng, "ordinary")
    rows, columns = np.arange(8, 232, 28), np.arange(8, 232, 28)
    night.frames[0][rows, columns] += 300
    bits = mask_frame(night.frames[0], RMS, exposure=60.0, defects=NO_DEFECTS).bits
    judged = replace(night, bits=[bits, *night.bits[1:]]).judged()
    assert (judged[rows, columns] == PixelBit.COSMIC).all()
    assert np.count_nonzero(judged) == rows.size


@pytest.mark.parametrize("factor", [0.5, 1.02, 1.6])
def test_a_star_that_varies_is_not_hit(rng: np.random.Generator, factor: float) -> None:
    night = make_night(rng, "sharp among wide", brighter={10: factor, 21: factor})
    assert not (night.judged() & PixelBit.COSMIC).any()


def test_a_star_without_template_is_left_as_it_is(rng: np.random.Generator) -> None:
    night = make_night(rng, "sharp among wide")
    blank = np.full(SHAPE, np.nan, np.float32)
    identity = night.alignments[0]
    judged = night.bits[0].copy()
    judge_pixels(night.frames[0], judged, blank, identity, night.xy, 4.5, FrameNoise(RMS, gain=1.0))
    np.testing.assert_array_equal(judged, night.bits[0])
