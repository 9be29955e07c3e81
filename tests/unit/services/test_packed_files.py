"""What is packed comes out to the last bit, and what is no packed file says so."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services import packed_files
from services.checksums import sha256_of
from services.packed_files import MAGIC, SIZES, BrokenPackageError, pack, unpack


def through(folder: Path, content: bytes) -> tuple[bytes, packed_files.Digests]:
    source, packed, out = folder / "source", folder / "packed", folder / "out"
    source.write_bytes(content)
    digests = pack(source, packed)
    assert unpack(packed, out, len(content)) == digests.content_sha256 == hashlib.sha256(content).hexdigest()
    assert digests.sha256 == sha256_of(packed)
    assert (digests.size_bytes, digests.content_bytes) == (packed.stat().st_size, len(content))
    return out.read_bytes(), digests


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=100), block=st.integers(1, 40))
def test_any_bytes_come_out_as_they_were(tmp_path_factory: pytest.TempPathFactory, content: bytes, block: int) -> None:
    folder = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_files, "BLOCK_BYTES", block)
        assert through(folder, content)[0] == content


def test_pixels_of_noise_become_smaller(tmp_path: Path) -> None:
    # Sky of 100 ± 10 ADU: sign, exponent and first bits are alike, the rest is noise.
    pixels = np.random.default_rng(1).normal(100.0, 10.0, 2_000_000).astype(">f4").tobytes()  # two blocks
    content, digests = through(tmp_path, pixels)
    assert content == pixels
    assert 0.70 < digests.size_bytes / len(pixels) < 0.85


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda whole: b"SIMPLE  =" + whole[9:], "does not begin as a packed file does"),
        (lambda whole: whole[:-3], "cannot be decompressed"),
        (lambda whole: whole[: len(MAGIC)], "5000 of 5000 bytes are lacking"),
        (lambda whole: whole + whole[len(MAGIC) :], "a block of 5000 bytes where 0 are left"),
        (lambda whole: MAGIC + SIZES.pack(5001, 20) + bytes(20), "a block of 5001 bytes where 5000 are left"),
        (lambda whole: MAGIC + SIZES.pack(5000, 2**31) + bytes(20), "a block of 5000 bytes"),
        (lambda whole: MAGIC + SIZES.pack(5000, 20) + bytes(20), "cannot be decompressed"),
        (lambda whole: MAGIC + b"\0", "a block of 0 bytes"),
    ],
)
def test_what_is_no_packed_file_says_so(tmp_path: Path, spoil: "object", said: str) -> None:
    source, packed = tmp_path / "source", tmp_path / "packed"
    source.write_bytes(bytes(5000))
    pack(source, packed)
    packed.write_bytes(spoil(packed.read_bytes()))
    with pytest.raises(BrokenPackageError, match=said):
        unpack(packed, tmp_path / "out", 5000)
