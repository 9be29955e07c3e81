"""A night whose frames come while it is watched, is disturbed, and has the rows of one that was published at once."""

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.engine.embedded import CONSUMER_NAME
from services.trials.simulate import night_spec, simulate
from tests.acceptance.programs import Programs
from tests.chaos.system import children_of, signal_all
from tests.forked import Program
from tests.integration.small_night import SPEC, Night

FRAMES, FIRST = 14, 4
TIMEOUT_S = 240.0
KINDS, CALIBRATION = ("bias", "dark", "Simu", "flat"), 6  # in the order in which they come
POINTS = "SELECT COUNT(DISTINCT image_id) FROM light_curve WHERE flux_relative IS NOT NULL"
UNFINISHED = "SELECT COUNT(*) FROM process WHERE status IN ('waiting', 'queued', 'running')"
FAILED = "SELECT COUNT(*) FROM process_attempt WHERE outcome = 'failed'"
CURVES = """
SELECT s.x, s.y, p.path, l.aperture, l.flux_raw, l.flux_raw_error, l.flux_relative, l.flux_relative_error,
       l.is_reference, l.flag, l.image_good, l.jd_utc
FROM light_curve l
JOIN process d ON d.graph_pid = :graph AND d.command = 'detect'
JOIN source_position s ON s.pid = d.pid AND s.source_id = l.source_id
JOIN image_parent ip ON ip.image_id = l.image_id
JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
"""


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    found = Programs({"TIANYU_APERTURE_RADII": "[3.5, 6.0]"}, tmp_path)
    yield found
    found.stop()


class Folder:
    """Into which frames are copied as a camera's computer does it: first a part, then all."""

    def __init__(self, folder: Path, frames: list[Path]) -> None:
        self.path = folder
        self.path.mkdir()
        self._frames = frames

    def put(self, count: int) -> None:
        for path in self._frames[:count]:
            target, content = self.path / path.name, path.read_bytes()
            with target.open("wb") as file:
                file.write(content[: len(content) // 2])
                file.flush()
                time.sleep(0.02)
                file.write(content[len(content) // 2 :])
        del self._frames[:count]


def until(told: Callable[[], bool], watching: Program) -> None:
    """Wait for it; fails where the program has ended or hangs."""
    end = time.monotonic() + TIMEOUT_S
    while not told():
        assert watching.poll() is None, "it has left"
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.05)


def number(workdir: Path, query: str) -> int:
    """From the database; 0 while there is no table yet."""
    try:
        with closing(sqlite3.connect(f"file:{workdir / 'tianyu.db'}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def points(night: Night) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Points of the light curves by place of the star on the template, frame and aperture; and their numbers."""
    rows = sorted(night.rows(CURVES, graph=night.facts().graph_pid))
    return [row[:4] + row[8:] for row in rows], np.array([row[4:8] for row in rows], dtype=np.float64)


def keys(night: Night) -> Counter[str]:
    """Each process's key tells all that its result was made of."""
    return Counter(
        row[0] for row in night.rows("SELECT result_key FROM process WHERE graph_pid = :g", g=night.facts().graph_pid)
    )


def test_the_rows_of_a_disturbed_live_night_are_those_of_one_published_at_once(
    tmp_path: Path, programs: Programs
) -> None:
    whole = simulate(night_spec("demo", **SPEC | {"n_frames": FRAMES}), tmp_path / "whole")
    frames = sorted(whole.glob("*.fits"), key=lambda path: (KINDS.index(path.name[:4]), path.name))
    raw = Folder(tmp_path / "raw", frames)
    workdir = tmp_path / "work"
    command = ("watch", str(raw.path), "--workdir", str(workdir), "--consumers", "2", "--first", str(FIRST))

    watching = programs.start(*command)
    raw.put(CALIBRATION + FIRST + 1)
    until(lambda: number(workdir, POINTS) >= FIRST and not number(workdir, UNFINISHED), watching)
    assert signal_all(children_of(watching.pid, "comm", CONSUMER_NAME), signal.SIGKILL) == 1
    raw.put(3)
    until(lambda: number(workdir, POINTS) >= FIRST + 3, watching)
    raw.put(2)
    until(lambda: number(workdir, UNFINISHED) > 0, watching)
    watching.kill()  # in the middle of a portion
    watching.wait()
    raw.put(FRAMES)  # while nobody looks: the last of the sky, and flats of the morning
    watching = programs.start(*command, "--finish")
    until(lambda: number(workdir, POINTS) == FRAMES and not number(workdir, UNFINISHED), watching)
    watching.terminate()
    assert watching.wait(TIMEOUT_S) == 0
    assert number(workdir, FAILED) == 0

    live, at_once = Night.open(workdir), Night.open(tmp_path / "at_once", aperture_radii=(3.5, 6.0))
    at_once.publish(raw.path)
    at_once.work()
    assert keys(live) == keys(at_once)
    (found, numbers), (expected, others) = points(live), points(at_once)
    assert found == expected
    # The stars that an earlier template showed have other numbers: sums over them are rounded otherwise.
    np.testing.assert_allclose(numbers, others, rtol=1e-6)
    [(rows, distinct)] = live.rows("SELECT COUNT(*), COUNT(DISTINCT path) FROM frame WHERE kind = 'light'")
    assert (rows, distinct) == (FRAMES, FRAMES)
