"""Headers as instruments write them, made from the facts of each dialect: `corpus/*.txt`.

Above the first ``----`` stands what is to be read of it, as TOML; below it the cards, those of an image extension after
another ``----``.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

CORPUS = Path(__file__).parent / "corpus"
SHAPE = (6, 8)
STRUCTURAL = frozenset({"SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "BZERO", "BSCALE"})


@dataclass(frozen=True)
class Sample:
    """One header of the corpus."""

    name: str
    expected: dict[str, Any]
    headers: tuple[fits.Header, ...]  # the primary one; and that of an extension

    def write(self, folder: Path) -> Path:
        """As a file in this folder."""
        path = folder / self.expected.get("file", f"{self.name}.fits")
        return write_file(path, self.headers, self.expected.get("layout", ""))


def write_file(path: Path, headers: tuple[fits.Header, ...], layout: str = "") -> Path:
    """A small frame with these headers."""
    pixels = np.random.default_rng(len(path.name)).integers(900, 1100, SHAPE).astype(np.uint16)
    image = fits.CompImageHDU if layout == "fpacked" else fits.ImageHDU
    if len(headers) == 1:
        hdus = fits.HDUList([fits.PrimaryHDU(pixels)])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(), image(pixels)])
    for hdu, header in zip(hdus, headers, strict=True):
        hdu.header.extend((card for card in header.cards if card.keyword not in STRUCTURAL), update=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus.writeto(path, overwrite=True, output_verify="ignore")
    return path


def samples() -> list[Sample]:
    """All of the corpus, by name."""
    return [_read(path) for path in sorted(CORPUS.glob("*.txt"))]


def _read(path: Path) -> Sample:
    expected, *parts = path.read_text().split("----\n")
    headers = tuple(fits.Header.fromstring(part.rstrip("\n"), sep="\n") for part in parts)
    return Sample(path.stem, tomllib.loads(expected), headers)
