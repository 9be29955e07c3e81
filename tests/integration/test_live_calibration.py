"""Flats of the morning twilight come when the night is nearly over: all of it is calibrated with them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.ingest.arrivals import Arrivals
from services.ingest.raw_folder import FrameReader
from services.operating.live import watching
from services.operating.live.rhythm import Rhythm
from services.operating.live.watching import Watch
from tests.integration.small_night import FRAMES, Night

MOST_ROUNDS = 200
WITH_FLAT = """
SELECT COUNT(DISTINCT l.image_id) FROM light_curve l
JOIN image_parent m ON m.image_id = l.image_id
JOIN image f ON f.image_id = m.parent_id AND f.kind = 'master_flat'
WHERE l.flux_relative IS NOT NULL
"""
SHOWN = "SELECT COUNT(DISTINCT image_id) FROM light_curve WHERE flux_relative IS NOT NULL"


def points(night: Night) -> np.ndarray:
    """Light curves in an order that no number of a star decides: by frame, aperture and flux."""
    rows = sorted(night.light_curves(), key=lambda row: (Path(row[1]).name, row[2], row[3] or 0.0))
    return np.array([row[2:] for row in rows], dtype=np.float64)


def test_what_was_calibrated_without_flats_is_calibrated_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL_S", 0.0)
    night, folder = Night.open(tmp_path / "live"), tmp_path / "raw"
    shutil.copytree(raw, folder, ignore=shutil.ignore_patterns("flat*"))

    def events() -> Iterator[None]:
        while night.rows(SHOWN) != [(FRAMES,)]:
            yield
        assert night.rows(WITH_FLAT) == [(0,)]
        for flat in raw.glob("flat*"):
            shutil.copy(flat, folder)
        while night.rows(WITH_FLAT) != [(FRAMES,)]:
            yield
        watch.stop()

    rounds, happening = iter(range(MOST_ROUNDS)), events()

    def look_after() -> None:
        night.work()
        next(rounds)
        next(happening, None)

    arrivals = Arrivals(folder, FrameReader(), settled_s=0.0)
    rhythm = Rhythm(first=FRAMES, masters_quiet_s=0.0)
    watch = Watch(night.sessions.kw["bind"], night.settings, arrivals, rhythm, lambda _: None, look_after)
    watch.run()
    at_once = Night.open(tmp_path / "at_once")
    at_once.publish(folder)
    at_once.work()
    # Stars have other numbers, and sums over them are rounded otherwise.
    np.testing.assert_allclose(points(night), points(at_once), rtol=1e-9)
