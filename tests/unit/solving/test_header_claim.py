"""The WCS of a header is of the file's pixels: frames that are trimmed, or one colour of many, have it in their own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pipeline.detector.readout import Amplifier, Readout, Window
from schema.image import Image
from services.frame_geometry import geometry_text
from services.image_store import open_store
from services.steps.shared.header_claim import Reference, claim_of

SHAPE = (60, 100)
DATA = Window(11, 95, 3, 60)


def header() -> fits.Header:
    made = fits.Header()
    made["CTYPE1"], made["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    made["CRVAL1"], made["CRVAL2"], made["CRPIX1"], made["CRPIX2"] = 30.0, 45.0, 40.0, 20.0
    made["CD1_1"], made["CD1_2"], made["CD2_1"], made["CD2_2"] = -3e-4, 2e-5, 2e-5, 3e-4
    made["A_ORDER"], made["B_ORDER"], made["A_2_0"], made["B_0_2"], made["B_1_1"] = 2, 2, 1e-5, -2e-5, 3e-5
    return made


@pytest.mark.parametrize("phase", [None, (0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_claim_is_of_the_frames_pixels(tmp_path: Path, phase: tuple[int, int] | None) -> None:
    readout = Readout((SHAPE,), (Amplifier(DATA),), cut=Window(2, 80, 0, 50), phase=phase)
    fits.writeto(tmp_path / "a.fits", np.zeros(SHAPE, np.float32), header())
    context: Any = SimpleNamespace(images=open_store(tmp_path), last_attempt=True)
    claim = claim_of(context, Reference(Image(path="a.fits", geometry=geometry_text(readout))), readout.shape)
    assert claim is not None
    of_frame = np.array([[0.0, 0.0], [31.0, 17.0]])
    of_file = of_frame * readout.step + np.array([11 + 2, 3]) + np.array(phase or (0, 0))
    expected = np.column_stack(WCS(header()).all_pix2world(*of_file.T, 0))
    assert claim.wcs.to_sky(of_frame) == pytest.approx(expected, abs=1e-8)
    assert claim.shape == readout.shape


def test_amplifiers_that_were_joined_claim_nothing(tmp_path: Path) -> None:
    amplifiers = (Amplifier(Window(0, 50, 0, 60)), Amplifier(Window(50, 100, 0, 60), at=(50, 0)))
    context: Any = SimpleNamespace(images=open_store(tmp_path), last_attempt=True)
    frame = Image(path="a.fits", geometry=geometry_text(Readout((SHAPE,), amplifiers)))
    assert claim_of(context, Reference(frame), SHAPE) is None
