"""Some of a folder's frames: those asked for, and all that calibrates them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.errors import ConfigurationError
from services.ingest.raw_folder import Folder, read_folder
from services.ingest.wanted import only


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    kinds = [("bias", None, None), ("light", "UY UMa", "R"), ("light", "uyuma", "V"), ("light", "AC And", "R")]
    for number, (kind, name, band) in enumerate(kinds):
        header = fits.Header({"IMAGETYP": kind, "EXPTIME": 10.0, "DATE-OBS": f"2024-11-07T1{number}:00:00"})
        header.update({key: value for key, value in (("OBJECT", name), ("FILTER", band)) if value is not None})
        fits.writeto(tmp_path / f"{number}.fits", np.full((8, 8), number, np.uint16), header)
    return read_folder(tmp_path)


def test_light_frames_of_others_are_left_out(folder: Folder) -> None:
    kept, left_out = only(folder, ["uy uma"], [])
    assert ({frame.path.stem for frame in kept.frames}, left_out) == ({"0", "1", "2"}, 1)
    kept, left_out = only(folder, ["UYUMa"], ["V"])
    assert ({frame.path.stem for frame in kept.frames}, left_out) == ({"0", "2"}, 2)
    assert only(folder, [], []) == (replace(folder), 0)


def test_what_is_not_there_is_told_with_what_is(folder: Folder) -> None:
    with pytest.raises(ConfigurationError, match=r"no light frame is of XX: there are AC And in R, UY UMa in R"):
        only(folder, ["XX"], [])
