"""Masters are made of frames that fit each other and the night; what was taken off before is not taken off again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import select

from schema.observing import Observation
from services.frame_notes import frame_notes
from services.ingest.given import Given
from services.ingest.raw_folder import read_folder
from services.masters import masters_used
from services.operating.reduction import publish
from services.operating.status import status
from services.setup import open_engine
from tests.integration.small_night import Night

Pixels = NDArray[Any]
MEAN_FLUXES = "SELECT AVG(flux_raw) FROM light_curve WHERE aperture = 2 AND flux_raw IS NOT NULL GROUP BY source_id"


def rewritten(folder: Path, pattern: str, change: Callable[[Pixels], Pixels] | None = None, **cards: object) -> None:
    """Frames by other pixels and cards, a new file each."""
    for path in sorted(folder.glob(pattern)):
        pixels, header = fits.getdata(path), fits.getheader(path)
        for key in ("BZERO", "BSCALE"):
            header.remove(key, ignore_missing=True)
        header.update({key.replace("_", "-"): value for key, value in cards.items()})
        path.unlink()
        fits.writeto(path, pixels if change is None else change(pixels), header)


def curves(night: Night) -> list[tuple[Any, ...]]:
    """Light curves by the names of files, for a night that lies elsewhere."""
    return [(source, Path(path).name, *rest) for source, path, *rest in night.light_curves()]


def times(night: Night) -> dict[str, float]:
    """Mid-exposure by file, of the frames that are shown."""
    return {str(row[1]): row[-1] for row in curves(night)}


@pytest.fixture
def copied(raw: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(raw, tmp_path / "raw"))


def reduced(folder: Path, workdir: Path) -> Night:
    night = Night.open(workdir)
    night.publish(folder)
    night.work()
    return night


def test_bias_and_dark_frames_of_another_gain_change_nothing(copied: Path, processed: Night, tmp_path: Path) -> None:
    for path in [*copied.glob("bias_*.fits"), *copied.glob("dark_*.fits")]:
        shutil.copy(path, copied / f"other_{path.name}")
    for kind in ("bias", "dark"):
        rewritten(copied, f"other_{kind}_*.fits", lambda pixels: (pixels // 2 + 900).astype(np.uint16), GAIN=4.0)
    night = reduced(copied, tmp_path / "work")
    assert curves(night) == curves(processed)
    with night.sessions() as session:
        shown = [(one.kind, one.setting, one.graph_pid is not None) for one in status(session)]
    assert shown[:2] == [("bias", "gain 1.5", True), ("bias", "gain 4", False)]


def test_frames_of_another_gain_alone_are_refused_and_it_is_said(copied: Path, tmp_path: Path) -> None:
    rewritten(copied, "bias_*.fits", GAIN=4.0)
    night = Night.open(tmp_path / "work")
    said: list[str] = []
    publish(open_engine(night.settings), night.settings, read_folder(copied), said.append, said.append)
    reason = "no bias frames that fit (observation 1 has gain 4 instead of 1.5)"
    assert (
        f"observations 2, 3, {night.observation()}: {reason}, going on without" in said
    )  # dark, flat and light frames
    night.work()
    with night.sessions() as session:
        assert str(masters_used(session, night.facts().graph_pid)[0]) == "bias none: no such frames that fit"


def test_what_was_taken_off_before_is_not_taken_off_again(copied: Path, processed: Night, tmp_path: Path) -> None:
    """Frames that another program calibrated have the fluxes of the raw ones, calibrated here."""

    def mean(kind: str) -> Pixels:
        return np.mean([fits.getdata(path).astype(float) for path in copied.glob(f"{kind}_*.fits")], axis=0)

    bias, dark, flat = mean("bias"), mean("dark"), mean("flat_R")
    flat = (flat - bias) / (flat - bias).mean()
    rewritten(copied, "Simulated_R_*.fits", lambda raw: ((raw - dark) / flat).astype("f4"), CALSTAT="BDF")
    night = reduced(copied, tmp_path / "work")
    with night.sessions() as session:
        used = masters_used(session, night.facts().graph_pid)
    why = "none: taken off before, by the headers"
    assert [str(one) for one in used] == [f"{kind} {why}" for kind in ("bias", "dark", "flat")]
    theirs, ours = (np.sort([flux for (flux,) in one.rows(MEAN_FLUXES)])[-10:] for one in (night, processed))
    assert theirs / ours == pytest.approx(1.0, abs=0.01)


def test_a_dark_that_holds_the_bias_is_not_scaled(copied: Path, processed: Night, tmp_path: Path) -> None:
    """Darks of twice the exposure, no bias: the level of the sky stays what it is with bias frames."""
    for path in copied.glob("bias_*.fits"):
        path.unlink()
    rewritten(copied, "dark_*.fits", EXPTIME=60.0)
    sky = "SELECT AVG(background) FROM image WHERE kind = 'calibrated'"
    night = reduced(copied, tmp_path / "work")
    [(found,)], [(expected,)] = night.rows(sky), processed.rows(sky)
    assert found == pytest.approx(expected, rel=0.05)
    number, graph = night.observation(), night.facts().graph_pid
    with night.sessions() as session:
        [note] = frame_notes(session, {number: graph})[number]
    assert note.startswith("8 frames of 30 s are calibrated with a dark of 60 s that is not scaled")


def test_a_corrected_header_is_taken_into_the_night_that_was_published(copied: Path, tmp_path: Path) -> None:
    """Times an hour late in one frame; the night is that which had the right ones at once."""
    right = reduced(copied, tmp_path / "right")
    frame = sorted(copied.glob("Simulated_R_*.fits"))[3]
    time = fits.getval(frame, "DATE-OBS")
    fits.setval(frame, "DATE-OBS", value=time.replace("T14", "T15"))
    night = reduced(copied, tmp_path / "work")
    assert times(night) != times(right)
    fits.setval(frame, "DATE-OBS", value=time)
    publish(open_engine(night.settings), night.settings, read_folder(copied), print, print)
    commands = night.work()
    assert commands.count("calibrate") == 1
    assert times(night) == times(right)
    theirs, ours = (np.sort([flux for (flux,) in one.rows(MEAN_FLUXES)]) for one in (night, right))
    assert theirs == pytest.approx(ours, rel=1e-3)


def test_frames_that_move_to_another_name_are_said_where_they_were(raw: Path, night: Night) -> None:
    before = night.observation()
    given = read_folder(raw, given=Given(object="M67"))
    publish(open_engine(night.settings), night.settings, given, print, print)
    night.work()
    with night.sessions() as session:
        graphs = dict(session.execute(select(Observation.observation_id, Observation.graph_pid)).all())
        notes = frame_notes(session, graphs)
    after = max(graphs)
    assert notes[before] == [f"8 frames of these light curves are of observation {after} by now: use those that it has"]
    assert notes[after] == []
