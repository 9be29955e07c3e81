"""A night from its plan to light curves by Tianyu's programs: by one, and by the whole system whose consumers die."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from schema import database
from tests.acceptance.programs import Programs
from tests.alpaca.observed_night import Sky, observatory, write_plan
from tests.alpaca.simulator import Observatory

LIGHTS = 6
PATIENCE_S = 120.0
BY_NAME = """
SELECT COUNT(DISTINCT p.path), COUNT(*) FROM light_curve l
JOIN image_parent ip ON ip.image_id = l.image_id JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
WHERE l.flux_relative IS NOT NULL
"""


@pytest.fixture(scope="module")
def sky() -> Sky:
    return Sky.simulated()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = database.connect(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.02)


def test_one_program_observes_and_measures(sky: Sky, tmp_path: Path) -> None:
    """A camera that fails once is asked again, and nothing overtakes the exposure."""
    with observatory(sky) as (telescope, table):
        telescope.fail("startexposure", 0x500, "shutter stuck")
        programs = Programs({"TIANYU_TELESCOPE": json.dumps(table), "TIANYU_BACKOFF_S": "0.1"}, tmp_path)
        plan = write_plan(tmp_path, sky.plan(lights=LIGHTS, kinds=("bias", "light")))
        said = programs.run("capture", str(plan), "--workdir", str(tmp_path / "work"), "--no-plots")
    url = f"sqlite:///{tmp_path / 'work' / 'tianyu.db'}"
    assert f"published {LIGHTS} exposures, to be over by" in said.stdout
    [(frames, points)] = rows(url, BY_NAME)
    assert frames == LIGHTS
    assert points > 10 * LIGHTS
    assert rows(url, "SELECT status FROM process WHERE status <> 'succeeded'") == []
    attempts = rows(url, "SELECT attempt FROM process WHERE command = 'capture' ORDER BY pid")
    assert attempts == [(2,)] + [(1,)] * (2 + LIGHTS)
    starts = rows(
        url, "SELECT start_jd_utc FROM image i JOIN captured_frame c ON c.image_id = i.image_id ORDER BY c.pid"
    )
    assert starts == sorted(starts)
    assert len(telescope.exposures) == 3 + LIGHTS


@pytest.fixture
def system(database_url: str, broker_url: str, unique_site: str, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(
        {
            "TIANYU_DATABASE_URL": database_url,
            "TIANYU_BROKER_URL": broker_url,
            "TIANYU_SITE": unique_site,
            "TIANYU_ROOT": str(tmp_path / "root"),
            "TIANYU_LEASE_S": "2",
            "TIANYU_SWEEP_S": "0.3",
            "TIANYU_BACKOFF_S": "0.1",
        },
        tmp_path,
    )
    yield programs
    programs.stop()


def test_consumers_that_die_in_an_exposure_cost_that_exposure_alone(sky: Sky, system: Programs, tmp_path: Path) -> None:
    """One is killed, one is told to leave: each exposure is aborted, taken anew, and its frame says so."""
    url = system.environment["TIANYU_DATABASE_URL"]
    with observatory(sky, speed=sky.spec.exposure_s / 0.7) as (telescope, table):
        system.environment["TIANYU_TELESCOPE"] = json.dumps(table)
        system.run("init")
        system.start("manager")
        system.start("consumer")
        first = system.start("consumer", "--group", "telescope")
        plan = write_plan(tmp_path, sky.plan(lights=LIGHTS, kinds=("light",)))
        assert f"would publish {LIGHTS} exposures" in system.run("capture", str(plan), "--dry-run").stdout
        assert rows(url, "SELECT pid FROM process") == []
        system.run("capture", str(plan))
        wait(lambda: exposing(telescope, 2))
        first.kill()
        first.wait()
        wait(lambda: telescope.aborted == 1)
        second = system.start("consumer", "--group", "telescope")
        wait(lambda: exposing(telescope, 5))  # the second of the plan was exposed twice
        second.terminate()
        assert second.wait(PATIENCE_S) == 0
        assert telescope.aborted == 2
        system.start("consumer", "--group", "telescope")
        assert "light curves made" in system.run("status", "--wait").stdout
    assert rows(url, BY_NAME)[0][0] == LIGHTS
    assert rows(url, "SELECT pid FROM process WHERE status <> 'succeeded'") == []
    assert len(telescope.exposures) == LIGHTS + telescope.aborted
    assert len(list((tmp_path / "root" / "raw").rglob("*"))) == 1 + LIGHTS  # a folder, and a file each
    notes = rows(url, "SELECT note FROM frame_note n JOIN captured_frame c ON c.image_id = n.image_id ORDER BY c.pid")
    assert notes == [("taken by attempt 2: no frame of an earlier one is used",)] * 2
    failed = "SELECT outcome, error_class FROM process_attempt WHERE outcome <> 'succeeded' ORDER BY started_at"
    assert rows(url, failed) == [("lost", "transient"), ("failed", "surroundings")]


def exposing(telescope: Observatory, number: int) -> bool:
    """Whether the camera is at its so-many-th exposure, which then lasts until it is aborted."""
    return len(telescope.exposures) == number and telescope.prolong(PATIENCE_S)
