"""Which files are index files, and which of them suit a field."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from services.sky.solving import index_files
from services.sky.solving.index_files import BYTE_ORDERS, IndexFile, find_index_files, of_region, suitable

OTHER_ORDER = BYTE_ORDERS["big" if sys.byteorder == "little" else "little"]


def write(folder: Path, name: str, smallest_arcmin: float, largest_arcmin: float, **cards: Any) -> Path:
    """The header of an index file, as build-astrometry-index writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    header = fits.Header({"ENDIAN": BYTE_ORDERS[sys.byteorder], "AN_FILE": "QUAD", "INDEXID": 4107})
    header["SCALE_L"], header["SCALE_U"] = (math.radians(size / 60) for size in (smallest_arcmin, largest_arcmin))
    header.update({"HEALPIX": -1, "HPNSIDE": 0} | cards)
    for number in range(100):
        header.add_history(f"line {number} of a header that takes several blocks")
    fits.PrimaryHDU(header=header).writeto(folder / name)
    return folder / name


def made(*sizes: tuple[float, float]) -> list[IndexFile]:
    return [IndexFile(Path(f"{one:g}.fits"), one / 60, other / 60, None) for one, other in sizes]


def test_sizes_are_read_from_headers_whatever_the_name(tmp_path: Path) -> None:
    write(tmp_path, "index-tycho2-09.littleendian.fits", 42, 60)
    write(tmp_path, "anything.fits", 22, 30)
    found = find_index_files(tmp_path)
    assert [file.path.name for file in found] == ["anything.fits", "index-tycho2-09.littleendian.fits"]
    assert [(file.smallest_deg * 60, file.largest_deg * 60) for file in found] == [
        pytest.approx((22, 30)),
        pytest.approx((42, 60)),
    ]
    assert [file.base_cell for file in found] == [None, None]


def test_what_is_no_index_file_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "good.fits", 22, 30)
    write(tmp_path, "other-order.fits", 22, 30, ENDIAN=OTHER_ORDER)
    write(tmp_path, "nonsense.fits", 30, 22)
    write(tmp_path, "text.fits", 22, 30, SCALE_L="unknown")
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    whole = (tmp_path / "good.fits").read_bytes()
    (tmp_path / "cut.fits").write_bytes(whole[:4000])
    (tmp_path / "empty.fits").touch()
    (tmp_path / "gone.fits").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.fits").mkdir()
    assert [file.path.name for file in find_index_files(tmp_path)] == ["good.fits"]


def test_the_folder_that_is_set_is_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = (tmp_path / "none", tmp_path / "empty", tmp_path / "first", tmp_path / "second")
    (tmp_path / "empty").mkdir()
    for folder in usual[2:]:
        write(folder, "index.fits", 22, 30)
    monkeypatch.setattr(index_files, "USUAL_FOLDERS", tuple(map(str, usual)))
    assert [file.path for file in find_index_files(None)] == [tmp_path / "first" / "index.fits"]
    assert [file.path for file in find_index_files(tmp_path / "second")] == [tmp_path / "second" / "index.fits"]
    assert find_index_files(tmp_path / "empty") == []
    assert find_index_files(tmp_path / "none") == []


TYCHO = made((22, 30), (30, 42), (42, 60), (60, 85), (85, 120), (480, 680))


@pytest.mark.parametrize(
    ("shape", "scale", "expected"),
    [
        ((500, 650), (4.7, 5.7), ["22", "30", "42", "60"]),  # 43 x 56 arcmin, diagonal up to 78
        ((500, 650), (2.0, 13.0), ["22", "30", "42", "60", "85"]),
        ((2048, 2048), (0.3, 0.4), []),  # 12 arcmin
        ((2048, 2048), (30.0, 30.0), ["85", "480"]),  # 17 degrees: patterns below 1.7 drown
    ],
)
def test_patterns_must_fit_into_the_field(
    shape: tuple[int, int], scale: tuple[float, float], expected: list[str]
) -> None:
    assert [file.path.stem for file in suitable(TYCHO, shape, scale)] == expected


def test_tiles_of_other_parts_of_the_sky_are_left_out(tmp_path: Path) -> None:
    """Tiles of 12 x 4, numbered by base cell; base cell 4 lies around (0, 0), cells 0 to 3 north of it."""
    for tile in range(48):
        write(tmp_path, f"index-5200-{tile:02d}.fits", 2, 2.8, HEALPIX=tile, HPNSIDE=2)
    write(tmp_path, "whole.fits", 2, 2.8)
    found = find_index_files(tmp_path)
    near = {file.base_cell for file in of_region(found, 0.0, 0.0, 1.0)}
    assert near == {4, None}
    assert len(of_region(found, 0.0, 0.0, 1.0)) == 5
    assert {file.base_cell for file in of_region(found, 45.0, 89.0, 5.0)} == {0, 1, 2, 3, None}
    assert len(of_region(found, 0.0, 0.0, 180.0)) == len(found)
