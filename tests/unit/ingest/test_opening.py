"""Files that are frames, and files that only look like it."""

import errno
import gzip
import random
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.errors import DataError, TransientError
from services.ingest.frame_file import open_frame
from services.ingest.headers import read_frame
from tests.unit.ingest.conftest import without_root
from tests.unit.ingest.made_frames import header, pixels, write


def packed(path: Path, name: str = "packed.fits.gz") -> Path:
    target = path.with_name(name)
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


def test_primary_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", pixels(shape=(40, 50)), OBJECT="HAT-P-32")
    opened = open_frame(path)
    assert opened.shape == (40, 50)
    assert opened.size == path.stat().st_size
    assert opened.mtime == path.stat().st_mtime
    assert "OBJECT  = 'HAT-P-32'" in opened.header_text
    assert opened.notes == ()


def test_gzip_compressed_tiles_extension_and_leading_axis(tmp_path: Path) -> None:
    data = pixels(shape=(40, 50))
    plain = write(tmp_path / "a.fits", data, OBJECT="x")
    tiles = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header(OBJECT="x"))]).writeto(tiles)
    extension = tmp_path / "b.fits"
    fits.HDUList([fits.PrimaryHDU(header=header(OBJECT="x")), fits.ImageHDU(data)]).writeto(extension)
    cube = write(tmp_path / "c.fits", data[np.newaxis], OBJECT="x")
    for path in (packed(plain), tiles, extension, cube):
        opened = open_frame(path)
        assert opened.shape == (40, 50)
        assert opened.header["OBJECT"] == "x"
        assert opened.notes == ()


def test_image_extension_goes_before_the_primary_header(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    primary = fits.PrimaryHDU(header=header(FILTER="V", EXPTIME=1.0))
    fits.HDUList([primary, fits.ImageHDU(pixels(), header(EXPTIME=60.0))]).writeto(path)
    assert (open_frame(path).header["FILTER"], open_frame(path).header["EXPTIME"]) == ("V", 60.0)


def test_further_images_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(pixels()), fits.ImageHDU(pixels(), name="CHIP2")]).writeto(path)
    assert open_frame(path).notes == ("only the first image of the file is used: there is another, 'CHIP2'",)


def test_missing_padding_is_forgiven_a_missing_pixel_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits")
    whole = path.read_bytes()
    end = 2880 + 20 * 30 * 2
    path.write_bytes(whole[:end])
    assert open_frame(path).shape == (20, 30)
    path.write_bytes(whole[: end - 1])
    with pytest.raises(DataError, match=rf"a\.fits' is truncated: {end - 1} bytes, its header promises {end}"):
        open_frame(path)


def test_truncated_gzip_and_tiles(tmp_path: Path) -> None:
    data = pixels(shape=(600, 700))
    zipped = packed(write(tmp_path / "a.fits", data))
    tiles = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(tiles)
    for path, reason in ((zipped, r"cannot be read as FITS: .* is it whole\?"), (tiles, "is truncated")):
        whole = path.read_bytes()
        assert open_frame(path).shape == (600, 700)
        path.write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(DataError, match=reason):
            open_frame(path)


def test_a_truncated_file_packed_afterwards_is_still_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", pixels(shape=(600, 700)))
    path.write_bytes(path.read_bytes()[:400_000])
    with pytest.raises(DataError, match="is truncated: 400000 bytes"):
        open_frame(packed(path))


def test_gzip_with_more_than_the_image_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU(np.zeros(100, dtype=[("x", "f8")]))
    fits.HDUList([fits.PrimaryHDU(pixels()), table]).writeto(path)
    assert open_frame(packed(path)).shape == (20, 30)


def test_files_that_are_no_frames_name_themselves(tmp_path: Path) -> None:
    contents = {
        "empty.fits": (b"", "is empty"),
        "text.fits": (b"dear diary\n" * 1000, "cannot be read as FITS"),
        "text.fits.gz": (b"dear diary\n" * 1000, "cannot be read as FITS"),
        "short.fits": (b"SIMPLE  =                    T", "cannot be read as FITS"),
    }
    for name, (content, reason) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"file '.*{name}' {reason}"):
            open_frame(tmp_path / name)
    with pytest.raises(DataError, match=r"gone\.fits' cannot be read: No such file"):
        open_frame(tmp_path / "gone.fits")


def test_files_without_a_frame_in_them(tmp_path: Path) -> None:
    table = tmp_path / "table.fits"
    fits.BinTableHDU(np.zeros(5, dtype=[("x", "f8")])).writeto(table)
    bare = tmp_path / "bare.fits"
    fits.PrimaryHDU(header=header(OBJECT="x")).writeto(bare)
    spectrum = write(tmp_path / "spectrum.fits", pixels(shape=(300,)))
    for path in (table, bare, spectrum):
        with pytest.raises(DataError, match="no two-dimensional image"):
            open_frame(path)
    with pytest.raises(DataError, match=r"cube\.fits' has an image of 6 x 5 x 4: expected two dimensions"):
        open_frame(write(tmp_path / "cube.fits", pixels(shape=(4, 5, 6))))


def test_permission_denied(shelf: Path) -> None:
    path = write(shelf / "a.fits")
    path.chmod(0)
    with without_root(), pytest.raises(DataError, match=r"a\.fits' cannot be read: Permission denied"):
        open_frame(path)


def test_a_machine_out_of_files_is_not_the_frames_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.fits")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TransientError, match="Too many open files"):
        open_frame(path)


def test_a_name_forges_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nERROR all is lost.fits"
    path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_frame(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_gives_facts_or_a_data_error(tmp_path: Path, seed: int) -> None:
    noise = random.Random(seed)
    path = write(
        tmp_path / "a.fits",
        **{"DATE_OBS": "2017-12-19T18:33:43-0700", "EXPTIME": 60.0, "RA": "02:04:10", "DEC": "46:41:16"},
        **{"OBJECT": "HAT-P-32", "GAIN": 1.5, "LONGITUD": -110.88, "XBINNING": 1, "YBINNING": 1, "MJD_OBS": 58107.07},
    )
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(noise.choice([1, 5, 50])):
            damaged[noise.randrange(2880)] = noise.choice([noise.randrange(256), *b"0123456789-+.'/ =TFENDX"])
        path.write_bytes(damaged)
        try:
            outcomes.add(read_frame(path).size == len(whole))
        except DataError as error:
            outcomes.add(str(error).isprintable() and str(path) in str(error))
    assert outcomes == {True}
