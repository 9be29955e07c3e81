"""Pixel scales of headers as cameras' programs write them."""

from typing import Any

import pytest
from astropy.io import fits

from services.ingest.pixel_scale import pixel_scale

# A 9 µm pixel at 1000 mm: 206.264806 * 9 / 1000.
NINE_MICRONS_AT_A_METRE = 1.856383


def header(**cards: Any) -> fits.Header:
    made = fits.Header()
    made.update(cards)
    return made


@pytest.mark.parametrize(
    ("cards", "binning", "expected"),
    [
        ({"PIXSCALE": 0.63}, "1x1", 0.63),
        ({"PIXSCALE": "0.63 arcsec"}, "1x1", 0.63),
        ({"SECPIX": "0.389"}, "2x2", 0.389),
        ({"IM_SCALE": 5.21}, "1x1", 5.21),
        ({"SCALE": (1.02, "[arcsec/pixel] image scale")}, "1x1", 1.02),
        ({"SCALE": (2.0, "display scale")}, "1x1", None),
        ({"PIXSCALE": 0.0, "SECPIX": 1.5}, "1x1", 1.5),
        ({"FOCALLEN": 1000.0, "XPIXSZ": 9.0, "YPIXSZ": 9.0}, "1x1", NINE_MICRONS_AT_A_METRE),
        # MaxIm, NINA and SBIG: the size of a binned pixel.
        ({"FOCALLEN": 1000.0, "XPIXSZ": 9.0, "YPIXSZ": 9.0}, "2x2", NINE_MICRONS_AT_A_METRE),
        ({"FOCALLEN": 1000.0, "XPIXSZ": (4.5, "unbinned pixel width, um")}, "2x2", NINE_MICRONS_AT_A_METRE),
        ({"FOCALLEN": "1000 mm", "PIXSIZE1": 9.0, "PIXSIZE2": 9.0}, "1x1", NINE_MICRONS_AT_A_METRE),
        ({"FOCALLEN": 0.0, "XPIXSZ": 9.0}, "1x1", None),
        ({"XPIXSZ": 9.0}, "1x1", None),
        ({"CTYPE1": "RA---TAN", "CD1_1": 0.0, "CD1_2": 3e-4, "CD2_1": -3e-4, "CD2_2": 0.0}, "1x1", 1.08),
        ({"CTYPE1": "RA---TAN", "CDELT1": -2.5e-4, "CDELT2": 2.5e-4}, "1x1", 0.9),
        ({"CTYPE1": "RA---TAN", "CDELT1": 1.0, "CDELT2": 1.0}, "1x1", None),
        ({"CTYPE1": "LINEAR", "CDELT1": 2.5e-4, "CDELT2": 2.5e-4}, "1x1", None),
        ({"CTYPE1": "RA---TAN", "CD1_1": "broken"}, "1x1", None),
        ({}, "1x1", None),
        ({"PIXSCALE": "unknown"}, "1x1", None),
    ],
)
def test_scales(cards: dict[str, object], binning: str, expected: float | None) -> None:
    found, notes = pixel_scale(header(**cards), binning)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))
    assert notes == ()


def test_what_no_camera_has_is_ignored_and_said() -> None:
    found, notes = pixel_scale(header(PIXSCALE=5000.0, FOCALLEN=1000.0, XPIXSZ=9.0), "1x1")
    assert found == pytest.approx(NINE_MICRONS_AT_A_METRE)
    assert notes == ("pixel scale of 5000 arcsec by the scale in the header is ignored: expected 0.02 to 200",)
    assert pixel_scale(header(SECPIX=-1.0), "1x1")[0] is None
