"""Whatever is killed, cut off, frozen or said twice: rows and files are those of an undisturbed run, each made once.

`CHAOS_SEED` repeats a campaign that failed: its kinds, order and points of progress; `make chaos` runs longer ones.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import campaign, checks, embedded
from tests.chaos.campaign import Outcome
from tests.chaos.nights import make_night
from tests.chaos.plan import HARMLESS, KILLS, OTHERS, Kind, make_embedded_plan, make_plan
from tests.chaos.servers import Servers
from tests.chaos.snapshot import Snapshot

SEED = int(os.environ.get("CHAOS_SEED", "20260728"))
PROCESSES = 250  # that run, at least
DISTRIBUTED_KILLS, EMBEDDED_KILLS = 32, 7  # a victim may be gone before its signal
SLOTS = 3
CALM_DATABASE = "tianyu_calm"
EXPECTED_TABLES = {"image", "image_parent", "source", "source_position", "aperture", "flux", "relative_flux"} | {
    "reference_star",
    "light_curve_statistics",
    "observation",
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_night(tmp_path_factory.mktemp("chaos") / "night")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers.start(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(scope="module")
def undisturbed(servers: Servers, night: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return campaign.run(campaign.prepare(servers, night, tmp_path_factory.mktemp("calm"), "calm"))


@pytest.fixture(scope="module")
def disturbed(servers: Servers, night: Path, undisturbed: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    sys.stderr.write(f"CHAOS_SEED={SEED}\n")
    plan = make_plan(SEED, undisturbed.processes, DISTRIBUTED_KILLS)
    return campaign.run(campaign.prepare(servers, night, tmp_path_factory.mktemp("disturbed"), "disturbed"), plan)


def test_the_undisturbed_run_is_worth_comparing_with(undisturbed: Outcome) -> None:
    assert not undisturbed.wrong, "\n".join(undisturbed.wrong)
    assert undisturbed.processes >= PROCESSES
    tables = {name for name, rows in undisturbed.snapshot.tables.items() if rows}
    assert tables >= EXPECTED_TABLES
    assert len(undisturbed.snapshot.tables["flux"]) > 8_000
    assert len(undisturbed.snapshot.files) > PROCESSES // 3  # calibrated images, stacks, masters


def test_everything_that_can_be_done_to_the_system_was_done(disturbed: Outcome) -> None:
    assert disturbed.kills >= 30
    assert set(disturbed.events) == KILLS.keys() | OTHERS.keys()
    assert disturbed.lost >= 1


def test_rows_and_files_are_those_of_an_undisturbed_run(undisturbed: Outcome, disturbed: Outcome) -> None:
    assert checks.differences(undisturbed.snapshot, disturbed.snapshot) == []
    assert checks.bit_equal(undisturbed.snapshot, disturbed.snapshot)


def test_each_process_succeeded_once_and_nothing_is_left_over(disturbed: Outcome) -> None:
    assert not disturbed.wrong, "\n".join(disturbed.wrong)


def test_no_attempt_is_lost_without_a_cause(disturbed: Outcome) -> None:
    """Messages alone start nothing; whatever else was done took at most what every slot had in hand."""
    causes = sum(count for kind, count in disturbed.events.items() if kind not in HARMLESS)
    assert disturbed.lost <= causes * SLOTS


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    night: Path, undisturbed: Outcome, tmp_path: Path
) -> None:
    sys.stderr.write(f"CHAOS_SEED={SEED}\n")
    plan = make_embedded_plan(SEED, undisturbed.first, EMBEDDED_KILLS)
    outcome = embedded.run(night, tmp_path / "embedded", plan)
    assert outcome.events[Kind.TREE] >= 3
    assert outcome.kills >= EMBEDDED_KILLS - 1
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert checks.differences(undisturbed.snapshot, outcome.snapshot) == []


def test_a_seed_gives_the_same_plan_again_and_another_another() -> None:
    plan = make_plan(SEED, PROCESSES, DISTRIBUTED_KILLS)
    assert plan == make_plan(SEED, PROCESSES, DISTRIBUTED_KILLS)
    assert plan != make_plan(SEED + 1, PROCESSES, DISTRIBUTED_KILLS)
    assert sum(event.kind in KILLS for event in plan) == DISTRIBUTED_KILLS
    assert [event.succeeded for event in plan] == sorted(event.succeeded for event in plan)


def _without_a_row(snapshot: Snapshot) -> Snapshot:
    tables = {name: dict(rows) for name, rows in snapshot.tables.items()}
    tables["flux"].popitem()
    return replace(snapshot, tables=tables)


def _with_a_flux_changed(snapshot: Snapshot) -> Snapshot:
    tables = {name: dict(rows) for name, rows in snapshot.tables.items()}
    key, row = next((key, row) for key, row in tables["relative_flux"].items() if row["flux"] is not None)
    tables["relative_flux"][key] = row | {"flux": row["flux"] * (1 + 1e-11)}
    return replace(snapshot, tables=tables)


CHANGES: dict[str, tuple[Callable[[Snapshot], Snapshot], str]] = {
    "row": (_without_a_row, "table flux: row .* is missing"),
    "flux": (_with_a_flux_changed, "table relative_flux: .* flux is"),
    "file": (lambda one: replace(one, files={**one.files, "x.fits.part": ""}), "file x.fits.part is too much"),
    "pixels": (lambda one: replace(one, files=dict.fromkeys(one.files, "")), "has other contents"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_comparison_sees_the_smallest_difference(undisturbed: Outcome, change: str) -> None:
    alter, words = CHANGES[change]
    assert checks.differences(undisturbed.snapshot, undisturbed.snapshot) == []
    found = checks.differences(undisturbed.snapshot, alter(undisturbed.snapshot))
    assert found
    assert all(re.search(words, line) for line in found)


ALTERATIONS = {  # what is done to the last process, what undoes it, and what is said of it
    "state": (
        "UPDATE process SET status = 'queued' WHERE pid = %s",
        "UPDATE process SET status = 'succeeded' WHERE pid = %s",
        "is queued, not succeeded",
    ),
    "attempt": (
        "UPDATE process_attempt SET outcome = NULL WHERE pid = %s",
        "UPDATE process_attempt SET outcome = 'succeeded' WHERE pid = %s ORDER BY attempt DESC LIMIT 1",
        "succeeded 0 times",
    ),
    "count": (
        "UPDATE process SET attempt = attempt + 1 WHERE pid = %s",
        "UPDATE process SET attempt = attempt - 1 WHERE pid = %s",
        "succeeded in another attempt than",
    ),
    "gap": (
        "UPDATE process_attempt SET attempt = attempt + 1 WHERE pid = %s",
        "UPDATE process_attempt SET attempt = attempt - 1 WHERE pid = %s",
        "has gaps in its",
    ),
    "propagation": (
        "UPDATE process SET propagated = 0 WHERE pid = %s",
        "UPDATE process SET propagated = 1 WHERE pid = %s",
        "has an end that is not counted",
    ),
    "lease": (
        "INSERT INTO lease SELECT pid, 1, 'nobody', finished_at FROM process WHERE pid = %s",
        "DELETE FROM lease WHERE pid = %s",
        "still has a lease",
    ),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_the_books_are_read_closely(servers: Servers, undisturbed: Outcome, alteration: str) -> None:
    change, undo, words = ALTERATIONS[alteration]
    url = servers.direct_url(CALM_DATABASE)
    [(pid,)] = servers.sql(CALM_DATABASE, "SELECT MAX(pid) FROM process")
    assert checks.books(url) == []
    servers.sql(CALM_DATABASE, change, pid)
    found = checks.books(url)
    servers.sql(CALM_DATABASE, undo, pid)
    assert any(line.startswith(f"process {pid} ") and words in line for line in found)
    assert checks.books(url) == []
