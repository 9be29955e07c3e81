"""Master files of one's own: registered once, taken as given, and known to what is done again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from schema.image import Image
from services.errors import ConfigurationError
from services.ingest.raw_folder import read_folder
from services.masters import masters_used
from services.operating.reduction import publish
from services.setup import open_engine
from tests.integration.small_night import Night

FLUXES = """
SELECT l.source_id, l.image_id, l.flux_raw FROM light_curve l
WHERE l.aperture = 2 AND l.flux_raw IS NOT NULL ORDER BY l.image_id, l.source_id
"""


def mean(raw: Path, pattern: str) -> np.ndarray:
    return np.mean([fits.getdata(path).astype(float) for path in raw.glob(pattern)], axis=0)


def given(night: Night, raw: Path, **masters: tuple[str, ...]) -> tuple[Night, list[str], list[str]]:
    """The night published with these masters, what was said, and what ran."""
    said: list[str] = []
    night = night.having(**masters)
    publish(open_engine(night.settings), night.settings, read_folder(raw), said.append, said.append)
    return night, said, night.work()


def test_masters_of_files_give_the_night_that_their_frames_give(raw: Path, processed: Night, tmp_path: Path) -> None:
    bias, dark = mean(raw, "bias_*.fits"), mean(raw, "dark_*.fits")
    flat = mean(raw, "flat_R_*.fits") - bias
    files = {"bias": bias, "dark": (dark - bias) / 30.0, "flat": flat / flat.mean() * 7.0}
    for name, pixels in files.items():
        fits.writeto(tmp_path / f"{name}.fits", pixels.astype("f4"))
    fits.setval(tmp_path / "dark.fits", "BUNIT", value="adu/s")
    lights = Path(shutil.copytree(raw, tmp_path / "raw", ignore=shutil.ignore_patterns("bias*", "dark*", "flat*")))
    night = Night.open(tmp_path / "work")
    masters = {f"use_{name}": (str(tmp_path / f"{name}.fits"),) for name in files}
    night, said, ran = given(night, lights, **masters)
    number, graph = night.observation(), night.facts().graph_pid
    assert any(line.startswith(f"observation {number}: flat as given (--use-flat ") for line in said)
    assert any(line.endswith("taken for ADU a second without bias, by its unit") for line in said)
    with night.sessions() as session:
        assert [str(one) for one in masters_used(session, graph)] == ["bias used", "dark used", "flat used"]
        found = session.scalars(select(Image.kind).where(Image.path.contains(str(tmp_path)), Image.pid.is_(None)))
        assert sorted(found)[:3] == ["bias", "dark", "flat"]
    ours, theirs = (np.array(one.rows(FLUXES), float)[:, 2] for one in (night, processed))
    # The mean of three flats leaves no cosmic ray out, and the read noise is unknown: fluxes are the same all the same.
    assert np.sort(ours)[-50:] == pytest.approx(np.sort(theirs)[-50:], rel=2e-3)

    assert given(night, lights, **masters)[2] == []  # nothing is done again
    other = tmp_path / "other.fits"
    slope = np.ones_like(flat) + np.linspace(0, 0.1, flat.shape[1])
    fits.writeto(other, slope)
    ran = given(night, lights, **masters | {"use_flat": (str(other),)})[2]
    assert "stack_dark" not in ran
    assert "combine_flat" in ran
    assert ran.count("calibrate") == 8

    fits.writeto(other, slope**2, overwrite=True)
    with pytest.raises(ConfigurationError, match="has changed since it was registered"):
        given(night, lights, use_flat=(str(other),))


def test_what_is_no_master_is_refused_by_name(raw: Path, tmp_path: Path) -> None:
    night = Night.open(tmp_path / "work")
    for name, pixels, cards, reason in (
        ("electrons", np.ones((128, 128)), {"BUNIT": "electron"}, "its unit is 'electron', expected ADU"),
        ("timeless", np.ones((128, 128)), {}, "it tells no exposure time"),
        ("empty", np.full((128, 128), np.nan), {}, "no pixel of it is finite"),
        ("missing", None, {}, "cannot be used"),
    ):
        path = tmp_path / f"{name}.fits"
        if pixels is not None:
            fits.writeto(path, pixels.astype("f4"), fits.Header(cards))
        with pytest.raises(ConfigurationError, match=reason):
            given(night, raw, alt_dark=(str(path),))
