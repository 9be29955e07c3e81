"""The same night by one command and by the whole system gives the same rows, also when a consumer is killed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from schema import database
from services.trials.simulate import night_spec, simulate
from tests.acceptance.programs import Programs

FRAMES = 14
PATIENCE_S = 240.0
LEASE_S = 5.0

FLUXES = """
SELECT s.x, s.y, l.aperture, p.path, l.jd_utc, l.bjd_tdb, l.flux_raw, l.flux_raw_error, l.flux_relative,
       l.flux_relative_error, l.is_reference, l.flag, l.image_good
FROM light_curve l
JOIN source s ON s.source_id = l.source_id
JOIN image_parent ip ON ip.image_id = l.image_id
JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
"""
IMAGES = """
SELECT path, good, reason, star_count, sky, fwhm, dx, dy, rotation_deg
FROM frame WHERE kind = 'light' AND image_id IS NOT NULL ORDER BY path
"""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = night_spec("demo", n_frames=FRAMES, shape=(288, 288), n_stars=100, seed=5)
    return simulate(spec, tmp_path_factory.mktemp("distributed") / "night")


@pytest.fixture(scope="module")
def embedded(night: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of the database of an embedded run."""
    workdir = tmp_path_factory.mktemp("embedded")
    Programs({}, workdir).run("run", str(night), "--workdir", str(workdir), "--consumers", "1", "--no-plots")
    return f"sqlite:///{workdir / 'tianyu.db'}"


@pytest.fixture
def system(database_url: str, broker_url: str, unique_site: str, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(
        {
            "TIANYU_DATABASE_URL": database_url,
            "TIANYU_BROKER_URL": broker_url,
            "TIANYU_SITE": unique_site,
            "TIANYU_ROOT": str(tmp_path / "root"),
            "TIANYU_LEASE_S": str(LEASE_S),
            "TIANYU_SWEEP_S": "0.5",
            "TIANYU_BACKOFF_S": "0.1",
        },
        tmp_path,
    )
    yield programs
    programs.stop()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = database.connect(url)
    with engine.connect() as connection:
        result = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return result


def light_curves(url: str) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Keys (source position, aperture, frame) and values of all rows, in an order that no id decides."""
    found = sorted(rows(url, FLUXES), key=lambda row: (row[3], row[2], row[0], row[1]))
    return [row[:4] for row in found], np.array([row[4:] for row in found], dtype=np.float64)


def assert_same_light_curves(one: str, other: str) -> None:
    keys, values = light_curves(one)
    other_keys, other_values = light_curves(other)
    assert len(keys) > 1000
    assert len(set(keys)) == len(keys)  # nothing twice
    assert keys == other_keys
    columns = "jd_utc bjd_tdb flux_raw flux_raw_error flux_relative flux_relative_error is_reference flag image_good"
    for number, name in enumerate(columns.split()):
        np.testing.assert_allclose(values[:, number], other_values[:, number], rtol=1e-12, atol=0, err_msg=name)


def assert_same_images(one: str, other: str) -> None:
    for ours, theirs in zip(rows(one, IMAGES), rows(other, IMAGES), strict=True):
        assert ours[:4] == theirs[:4]
        np.testing.assert_allclose(np.array(ours[4:], float), np.array(theirs[4:], float), rtol=1e-12)


MEASURED = "SELECT COUNT(DISTINCT image_id) FROM light_curve WHERE flux_relative IS NOT NULL"
UNFINISHED = "SELECT COUNT(*) FROM process WHERE status <> 'succeeded'"
SUCCEEDED = "SELECT COUNT(*) FROM process WHERE status = 'succeeded'"


def wait_until_succeeded(url: str, count: int) -> None:
    wait_for(url, SUCCEEDED, count)


def wait_for(url: str, query: str, count: int) -> None:
    while url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        time.sleep(0.02)
    engine = database.connect(url)
    sessions = database.reading_factory(engine)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OperationalError), sessions() as session:  # the tables may not be there yet
            if (session.scalar(text(query)) or 0) >= count:
                engine.dispose()
                return
        time.sleep(0.02)
    pytest.fail(f"{query!r} gave less than {count} within {PATIENCE_S} s")


def test_the_system_gives_the_rows_of_the_embedded_run(night: Path, embedded: str, system: Programs) -> None:
    """Also when a consumer is killed; `test_chaos` has runs of the system that are not disturbed."""
    url = system.environment["TIANYU_DATABASE_URL"]
    system.run("init")
    system.run("ingest", str(night))
    system.start("manager")
    first = system.start("consumer")
    system.start("consumer")
    system.run("publish", "--all")
    wait_until_succeeded(url, 25)
    first.kill()
    status = system.run("status", "--wait")
    assert "light curves made" in status.stdout
    assert_same_images(embedded, url)
    assert_same_light_curves(embedded, url)
    attempts = rows(url, "SELECT pid, COUNT(*) FROM process_attempt WHERE outcome = 'succeeded' GROUP BY pid")
    assert all(count == 1 for _, count in attempts)
    assert not rows(url, "SELECT pid FROM process WHERE status <> 'succeeded'")
    assert not rows(url, "SELECT pid FROM lease")


def test_programs_that_are_restarted_one_after_the_other_cost_no_attempt(
    night: Path, embedded: str, system: Programs
) -> None:
    """SIGTERM, what is in hand is finished, another one is started: consumers and both managers in turn."""
    system.environment["TIANYU_STRAGGLER_FACTOR"] = "0"  # nor is a second one offered beside what a busy machine slows
    url = system.environment["TIANYU_DATABASE_URL"]
    system.run("init")
    system.run("ingest", str(night))
    programs = [system.start(name) for name in ("consumer", "manager", "consumer", "manager")]
    system.run("publish", "--all")
    published = rows(url, "SELECT COUNT(*) FROM process")[0][0]
    for number, program in enumerate(programs):
        wait_until_succeeded(url, published * (number + 1) // 6)
        program.terminate()
        assert rows(url, UNFINISHED)[0][0] > 0
        assert program.wait(PATIENCE_S) == 0
        successor = system.start(*program.arguments)
        wait_for(url, f"SELECT COUNT(*) FROM service WHERE name LIKE '%:{successor.pid}:%'", 1)
    assert "light curves made" in system.run("status", "--wait").stdout
    assert_same_images(embedded, url)
    assert_same_light_curves(embedded, url)
    outcomes = rows(url, "SELECT outcome, COUNT(*), MAX(attempt) FROM process_attempt GROUP BY outcome")
    assert outcomes == [("succeeded", published, 1)]


def test_a_run_that_was_killed_goes_on_where_it_was(night: Path, embedded: str, tmp_path: Path) -> None:
    workdir = tmp_path / "work"
    url = f"sqlite:///{workdir / 'tianyu.db'}"
    programs = Programs({}, tmp_path)
    arguments = ("run", str(night), "--workdir", str(workdir), "--consumers", "2", "--no-plots")
    first = programs.start(*arguments)
    wait_until_succeeded(url, 30)
    first.kill()
    first.wait()
    done_before = rows(url, "SELECT COUNT(*) FROM process WHERE status = 'succeeded'")[0][0]
    programs.run(*arguments)
    assert_same_images(embedded, url)
    assert_same_light_curves(embedded, url)
    attempts = rows(url, "SELECT COUNT(*) FROM process_attempt WHERE attempt = 1 AND outcome = 'succeeded'")[0][0]
    assert attempts >= done_before  # nothing that was done was done again
    assert not rows(url, "SELECT pid FROM process_attempt WHERE outcome = 'succeeded' GROUP BY pid HAVING COUNT(*) > 1")
    assert not list(workdir.rglob("*.part"))


def test_lightcurve_command_reads_from_the_server(embedded: str, tmp_path: Path) -> None:
    programs = Programs({"TIANYU_DATABASE_URL": embedded}, tmp_path)
    [source] = rows(embedded, "SELECT MIN(source_id) FROM source")[0]
    printed = programs.run("lightcurve", "--source", str(source)).stdout
    assert printed.splitlines()[0].startswith("observation_id,source_id,image_id,jd_utc,bjd_tdb,aperture,flux_raw")
    assert len(printed.splitlines()) == FRAMES + 1


def test_a_watched_night_is_measured_by_consumers_elsewhere(
    night: Path, embedded: str, system: Programs, tmp_path: Path
) -> None:
    url = system.environment["TIANYU_DATABASE_URL"]
    folder = tmp_path / "incoming"
    folder.mkdir()
    lights = sorted(night.glob("Simulated_*.fits"))
    later = lights[9:]
    for path in sorted(set(night.glob("*.fits")) - set(later)):
        shutil.copy(path, folder)
    system.run("init")
    for program in ("manager", "consumer"):
        system.start(program)
    watching = system.start("watch", str(folder), "--publish-only", "--first", "5", "--finish")
    wait_for(url, MEASURED, len(lights) - len(later))
    for path in later:
        shutil.copy(path, folder)
    wait_for(url, MEASURED, FRAMES)
    watching.terminate()
    assert watching.wait(PATIENCE_S) == 0
    keys, values = light_curves(url)
    names = [(Path(key[3]).name, key[2]) for key in keys]
    other_keys, other_values = light_curves(embedded)
    assert sorted(names) == sorted((Path(key[3]).name, key[2]) for key in other_keys)
    # The stars that the first template showed have other positions in `source`, and sums are rounded otherwise.
    for column in (2, 4):  # fluxes, raw and relative
        ours, theirs = (np.sort(some[:, column]) for some in (values, other_values))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
