"""Small frames with the headers a test asks for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from services.ingest.headers import FrameFacts

BLANK = FrameFacts(
    path=Path("/night/a.fits"),
    kind="light",
    target="HAT-P-32",
    filter="R",
    instrument="cam",
    telescope=None,
    exposure=60.0,
    binning="1x1",
    shape=(20, 30),
    start_utc=None,
    jd_utc=None,
    day=None,
    time_source=None,
    gain=None,
    gain_source=None,
    read_noise=None,
    saturation=None,
    ra_deg=None,
    dec_deg=None,
    site_latitude=None,
    site_longitude=None,
    site_elevation=None,
    temperature=None,
    header="",
    size=2880,
    mtime=0.0,
)


def facts(name: str, jd: float | None = None, **changes: Any) -> FrameFacts:
    """Facts of a frame that has no file."""
    start = None if jd is None else jd - 30 / 86400
    return replace(BLANK, path=Path("/night") / name, jd_utc=jd, start_utc=start, **changes)


def pixels(seed: int = 1, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    """Noise about 1000 ADU."""
    return np.random.default_rng(seed).normal(1000, 10, shape).astype(np.uint16)


def header(**cards: Any) -> fits.Header:
    """A header; ``DATE_OBS`` stands for DATE-OBS, a tuple is (value, comment)."""
    made = fits.Header()
    for key, value in cards.items():
        made[key.replace("_", "-")] = value
    return made


def write(path: Path, data: np.ndarray | None = None, /, **cards: Any) -> Path:
    """Write a frame with these cards; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(pixels() if data is None else data, header(**cards)).writeto(path)
    return path
