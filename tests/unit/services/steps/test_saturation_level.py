"""From where a frame's saturation level is: header, settings, piled up counts, or stars with flat tops."""

import numpy as np
import pytest

from pipeline.detector.readout import RawPixels
from schema.image import Image
from services.choices import Choices
from services.steps.shared.raw_frames import saturation_of


def stars(full: float) -> np.ndarray:
    """Five stars cut off at a level."""
    y, x = np.mgrid[:120, :300]
    image = np.full(y.shape, 200.0)
    for number in range(5):
        image += (number + 2) * full * np.exp(-((x - 40 - 50 * number) ** 2 + (y - 60) ** 2) / 8.0)
    return np.minimum(image, full) + np.random.default_rng(1).normal(0, 3, y.shape)


def test_of_floats_stars_with_flat_tops_tell() -> None:
    raw = RawPixels(stars(30_000.0).astype(np.float32))
    assert saturation_of(Image(kind="light", path="a.fits"), raw, Choices()) == pytest.approx(29_000, rel=0.03)
    assert saturation_of(Image(kind="flat", path="a.fits"), raw, Choices()) is None
    assert saturation_of(Image(kind="light", path="a.fits"), raw, Choices(saturation=5e4)) == 5e4
    assert saturation_of(Image(kind="light", path="a.fits", saturation=6e4), raw, Choices(saturation=5e4)) == 6e4
    counts = RawPixels(np.rint(np.minimum(stars(30_000.0), 29_900.0)).astype(np.uint16))
    assert saturation_of(Image(kind="light", path="a.fits"), counts, Choices()) == 29_900.0
