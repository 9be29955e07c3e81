"""Files that ask for more than a machine has are refused before anything is unpacked; others are not disturbed."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.deployment import Deployment
from services.errors import DataError
from services.frame_bounds import FrameBounds
from services.image_store import open_store
from services.ingest.frame_file import open_frame
from services.ingest.raw_folder import read_folder

MEMORY_BYTES = 600_000_000  # of a program with numpy, astropy and SQLAlchemy, which hold 150 MB
SMALL = FrameBounds(header_bytes=28_800, pixels=2_000)


def cards(*lines: str) -> bytes:
    return b"".join(line.ljust(80).encode() for line in lines)


def block(*lines: str) -> bytes:
    text = cards(*lines)
    return text.ljust(-(-len(text) // 2880) * 2880)


def image_header(*lengths: int, bitpix: int = 16) -> bytes:
    axes = [f"NAXIS{number} = {length:>20}" for number, length in enumerate(lengths, start=1)]
    return block(
        "SIMPLE  =                    T", f"BITPIX  = {bitpix:>20}", f"NAXIS   = {len(lengths):>20}", *axes, "END"
    )


def endless(path: Path, million_bytes: int) -> None:
    more = gzip.compress(cards("HISTORY of nothing") * 12_500)
    path.write_bytes(gzip.compress(cards("SIMPLE  =                    T", "BITPIX  = 16")) + more * million_bytes)


def zeros(path: Path) -> None:
    """30,000 x 30,000 zeros: 1.8 GB in 8 MB of gzip; here its beginning, no more is ever looked at."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image_header(30_000, 30_000))
        file.write(bytes(1 << 20))


def tiles(path: Path, *lengths: int, tile: int | None = None) -> None:
    """A tile-compressed image of 64 x 64 whose header says more."""
    hdu = fits.CompImageHDU(np.zeros((64, 64), np.int16))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        for number, length in enumerate(lengths, start=1):
            hdus[1].header[f"ZNAXIS{number}"] = length
        if tile is not None:
            hdus[1].header["ZTILE1"] = tile


def long_table(path: Path) -> None:
    """A table of a terabyte before the image, in gzip."""
    table = block(
        "XTENSION= 'BINTABLE'",
        *(f"{name:<8}= {value:>20}" for name, value in (("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", 1000))),
        *(f"{name:<8}= {value:>20}" for name, value in (("NAXIS2", 10**9), ("PCOUNT", 0), ("GCOUNT", 1))),
        "END",
    )
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image_header() + table + bytes(1 << 20))


BOMBS = {
    "a header that never ends": (lambda path: endless(path, 300), "of headers up to its image"),
    "zeros in gzip": (zeros, "an image of 30000 x 30000 pixels, expected 250,000,000 at most"),
    "a long axis": (lambda path: path.write_bytes(image_header(10**9, 1)), "an image of 1000000000 x 1 pixels"),
    "a cube of axes": (lambda path: path.write_bytes(image_header(*[10**4] * 9)), "an image of 10000 x 10000 x"),
    "tiles": (lambda path: tiles(path, 30_000, 30_000), "an image of 30000 x 30000 pixels"),
    "one large tile": (lambda path: tiles(path, tile=10**10), "a tile of 10000000000 x 1 pixels"),
    "a table before the image": (long_table, "1,000,000,000,000 bytes before its first image"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_named_and_not_unpacked(tmp_path: Path, bomb: str) -> None:
    make, reason = BOMBS[bomb]
    path = tmp_path / "a.fits"
    make(path)
    for opening in (lambda: open_frame(path), lambda: open_store(tmp_path).read("a.fits")):
        with pytest.raises(DataError) as raised:
            opening()
        assert reason in str(raised.value)
        assert str(path) in str(raised.value)
        assert "raise max_" in str(raised.value)


def test_a_header_that_never_ends_takes_no_memory(tmp_path: Path) -> None:
    """A gigabyte of cards, in two megabytes of gzip."""
    endless(tmp_path / "a.fits.gz", 1_000)
    # Its own peak: what `getrusage` tells of a program begins with the peak of the one that started it.
    program = f"""
import re
from pathlib import Path
from services.ingest.raw_folder import read_folder
[(path, reason)] = read_folder(Path({str(tmp_path)!r})).unreadable
print(reason)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    reason, peak_kb = done.stdout.splitlines()
    assert "2,880,000 bytes of headers" in reason
    assert int(peak_kb) * 1000 < MEMORY_BYTES


def zipped(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.fits", content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (zipped, "zip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (lambda content: b"\x1f\x9d\x90" + content, "compress"),
    ],
)
def test_other_packers_are_named(tmp_path: Path, pack: object, name: str) -> None:
    plain = io.BytesIO()
    fits.PrimaryHDU(np.zeros((8, 8), np.int16)).writeto(plain)
    (tmp_path / "a.fits").write_bytes(pack(plain.getvalue()))  # type: ignore[operator]
    for opening in (lambda: open_frame(tmp_path / "a.fits"), lambda: open_store(tmp_path).read("a.fits")):
        with pytest.raises(DataError, match=f"is packed by {name}.*unpack it"):
            opening()


def test_the_bounds_are_settings(tmp_path: Path) -> None:
    header = fits.Header([("HISTORY", "x" * 60)] * 200)
    fits.PrimaryHDU(np.zeros((50, 50), np.int16)).writeto(tmp_path / "large.fits")
    fits.PrimaryHDU(np.zeros((20, 20), np.int16), header).writeto(tmp_path / "wide.fits")
    bounds = Deployment(max_header_bytes=5760, max_frame_pixels=2000).frame_bounds
    reasons = {path.name: reason for path, reason in read_folder(tmp_path, bounds=bounds).unreadable}
    assert "more than 5,760 bytes of headers" in reasons["wide.fits"]
    assert "50 x 50 pixels, expected 2,000 at most" in reasons["large.fits"]
    assert len(read_folder(tmp_path).frames) == 2
    for name in reasons:
        with pytest.raises(DataError, match="raise max_"):
            open_store(tmp_path, bounds).read(name)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("before", ["nothing", "a table", "a spectrum"])
def test_a_frame_at_the_bound_is_read(tmp_path: Path, packed: bool, before: str) -> None:
    data = np.arange(2000, dtype=np.int16).reshape(40, 50)
    table = fits.BinTableHDU(np.zeros(100, dtype=[("x", "f8"), ("y", "i2")]))
    spectrum = fits.ImageHDU(np.zeros(1000, np.float64))
    parts = {"nothing": [], "a table": [table], "a spectrum": [spectrum]}[before]
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), *parts, fits.ImageHDU(data)]).writeto(path)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert open_frame(path, SMALL).shape == (40, 50)
    assert np.array_equal(open_store(tmp_path, SMALL).read("a.fits"), data)
