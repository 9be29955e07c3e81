"""What a process really read is known when it is claimed; what was made of the same is not made again."""

import inspect
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select, update

from schema import database
from schema.attempts import Claim
from schema.base import table_of, utc_now
from schema.found import FoundAlignment, ReferenceFrame
from schema.image import Image, ImageParent
from schema.processes import CANCELLED, FAILED, QUEUED, RUNNING, SUCCEEDED, Process, ReadKey
from schema.queries import life, operating, scheduling
from services.choices import Choices
from services.engine.consumer.cutoff import key_of_read, read_by
from services.engine.consumer.worker import Worker
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.steps import ORDER, STEPS, choose_reference
from services.steps.align import ALIGN, AlignParameters
from tests.integration.small_night import FRAMES, Night

JOINS = 3  # place of the frame that comes later
FOUND = tuple(column.name for column in table_of(FoundAlignment).c if column.name not in ("image_id", "pid"))
Alignments = dict[str, tuple[Any, ...]]  # by path of the frame


def without_one(raw: Path, folder: Path) -> Callable[[], Path]:
    """A copy without a frame, which the function given back puts there."""
    shutil.copytree(raw, folder, ignore=shutil.ignore_patterns("truth"))
    path = sorted(folder.glob("Sim*.fits"))[JOINS]
    held = path.rename(folder.parent / path.name)

    def join() -> Path:
        if held.exists():
            held.rename(path)
        return folder

    return join


@pytest.fixture(scope="module")
def processed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The night without one frame, processed, and that frame registered since."""
    folder = tmp_path_factory.mktemp("processed")
    join = without_one(raw, folder / "night")
    night = Night.open(folder / "work")
    night.publish(folder / "night")
    night.work()
    night.publish(join())
    night.sessions.kw["bind"].dispose()
    return night


@pytest.fixture
def night(processed: Night, tmp_path: Path) -> Night:
    return processed.copy(tmp_path / "work")


def publish_whole(night: Night, **more: Any) -> Publication:
    """Lay the whole graph out anew, the vote too."""
    if "new_template" in inspect.signature(Publisher.publish).parameters and not more:
        more = {"new_template": True}
    with night.sessions.begin() as session:
        return Publisher(session, night.settings).publish(night.observation(), **more)


def publish_to_align(night: Night, **more: Any) -> Publication:
    """The same without what follows the alignments."""
    made = publish_whole(night, **more)
    following = [step.command for step in ORDER[ORDER.index(ALIGN) + 1 :]]
    with night.sessions.begin() as session:
        mine = select(Process.pid).where(Process.graph_pid == made.graph_pid, Process.command.in_(following))
        operating.cancel(session, session.scalars(mine).all())
    return made


def alignments(night: Night, graph_pid: int | None) -> Alignments:
    query = (
        select(Image.path, *(table_of(FoundAlignment).c[name] for name in FOUND))
        .join(ImageParent, ImageParent.parent_id == Image.image_id)
        .join(FoundAlignment, FoundAlignment.image_id == ImageParent.image_id)
        .join(Process, Process.pid == FoundAlignment.pid)
        .where(Process.graph_pid == graph_pid, Process.command == ALIGN.command, Image.kind == "light")
    )
    with night.sessions() as session:
        rows = session.execute(query).all()
    found = {Path(path).name: tuple(values) for path, *values in rows}
    assert len(found) == len(rows)
    return found


def aligns(night: Night, graph_pid: int | None) -> list[Process]:
    query = select(Process).where(Process.graph_pid == graph_pid, Process.command == ALIGN.command)
    with night.sessions() as session:
        return list(session.scalars(query.order_by(Process.pid)))


def computed(night: Night, graph_pid: int | None) -> int:
    """Alignments that no other process made."""
    processes = aligns(night, graph_pid)
    assert {process.status for process in processes} == {SUCCEEDED}
    assert {process.attempt for process in processes} == {1}
    return sum(process.origin_pid is None for process in processes)


def reference(night: Night, graph_pid: int | None) -> int:
    """The camera's frame that was chosen."""
    query = (
        select(ImageParent.parent_id)
        .join(ReferenceFrame, ReferenceFrame.image_id == ImageParent.image_id)
        .join(Process, Process.pid == ReferenceFrame.pid)
        .join(Image, Image.image_id == ImageParent.parent_id)
        .where(Process.graph_pid == graph_pid, Image.kind == "light")
    )
    with night.sessions() as session:
        return session.scalars(query).one()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands of steps that began to compute."""
    started: list[str] = []
    run = ALIGN.run

    def noting(*arguments: Any) -> Any:
        started.append(ALIGN.command)
        return run(*arguments)

    monkeypatch.setitem(STEPS, ALIGN.command, replace(ALIGN, run=noting))
    return started


def test_a_vote_with_the_same_winner_aligns_nothing_again(
    each_ready_url: str, raw: Path, tmp_path: Path, opened: list[str]
) -> None:
    join = without_one(raw, tmp_path / "night")
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url))
    night.publish(tmp_path / "night")
    night.work()
    old = night.facts().graph_pid
    assert len(opened) == computed(night, old) == FRAMES - 1
    night.publish(join())
    made = publish_whole(night)
    ran = night.work()
    assert reference(night, made.graph_pid) == reference(night, old)
    assert ran.count(ALIGN.command) == FRAMES
    assert computed(night, made.graph_pid) == 1
    assert len(opened) == FRAMES
    before, after = alignments(night, old), alignments(night, made.graph_pid)
    assert len(after) == FRAMES
    assert before.items() <= after.items()
    by_pid = {process.pid: process for process in aligns(night, old)}
    assert {one.origin_pid for one in aligns(night, made.graph_pid)} - {None} == set(by_pid)
    night.sessions.kw["bind"].dispose()


def test_another_winner_aligns_all_again(night: Night, monkeypatch: pytest.MonkeyPatch, opened: list[str]) -> None:
    old = night.facts().graph_pid
    monkeypatch.setattr(choose_reference, "choose_reference", lambda *_: JOINS)
    made = publish_to_align(night)
    night.work()
    assert reference(night, made.graph_pid) != reference(night, old)
    assert computed(night, made.graph_pid) == len(opened) == FRAMES


def test_a_hit_opens_no_file_of_before(night: Night, opened: list[str]) -> None:
    old = night.facts().graph_pid
    before = alignments(night, old)
    with night.sessions.begin() as session:
        session.execute(update(Image).where(Image.kind == "calibrated").values(deleted_at=utc_now()))
    for path in night.settings.root.glob("calibrated/*/*.fits"):
        path.unlink()
    made = publish_to_align(night)
    assert made.runs()["calibrate"] == FRAMES
    night.work()
    assert computed(night, made.graph_pid) == len(opened) == 1
    assert before.items() <= alignments(night, made.graph_pid).items()


def change_old(night: Night, **values: Any) -> None:
    with night.sessions.begin() as session:
        session.execute(
            update(Process)
            .where(Process.graph_pid == night.facts().graph_pid, Process.command == ALIGN.command)
            .values(**values)
        )


@pytest.mark.parametrize("status", [FAILED, CANCELLED, QUEUED])
def test_what_has_not_succeeded_is_made(night: Night, status: str, opened: list[str]) -> None:
    old = night.facts().graph_pid
    made = publish_to_align(night)
    change_old(night, status=status, propagated=True, pending=1)
    night.work()
    assert computed(night, made.graph_pid) == len(opened) == FRAMES
    with night.sessions() as session:
        makers = set(session.scalars(select(ReadKey.pid)))
    assert makers == {process.pid for process in aligns(night, made.graph_pid)}
    assert makers.isdisjoint(process.pid for process in aligns(night, old))


@pytest.mark.parametrize("command", ["calibrate", "choose_reference"])
def test_what_ran_before_what_it_reads_ended_anew_is_made(night: Night, command: str, opened: list[str]) -> None:
    old = night.facts().graph_pid
    made = publish_to_align(night)
    with night.sessions.begin() as session:
        session.execute(
            update(Process)
            .where(Process.graph_pid == old, Process.command == command)
            .values(finished_at=utc_now(3600.0))
        )
    night.work()
    assert computed(night, made.graph_pid) == len(opened) == FRAMES


@pytest.mark.parametrize("late", ["combine_flat", "calibrate_flat"])
def test_what_read_a_result_that_is_outdated_is_made(night: Night, late: str, opened: list[str]) -> None:
    """A master came right after frames had been calibrated without it, or a frame of the master after that."""
    with night.sessions.begin() as session:
        made = night.facts("flat").graph_pid
        ended = update(Process).where(Process.graph_pid == made).values(finished_at=utc_now(3600.0))
        session.execute(ended.where(Process.command == late))
    made = publish_to_align(night).graph_pid
    night.work()
    assert computed(night, made) == len(opened) == FRAMES


def test_another_version_or_generation_is_made(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    made = publish_to_align(night)
    raised = replace(ALIGN, version=ALIGN.version + 1)
    with monkeypatch.context() as patched:
        patched.setitem(STEPS, ALIGN.command, raised)
        night.work()
    assert computed(night, made.graph_pid) == FRAMES
    again = publish_to_align(night, again=True)
    night.work()
    assert computed(night, again.graph_pid) == FRAMES


def test_parameters_that_do_not_fit_are_said_so(night: Night) -> None:
    made = publish_to_align(night)
    with night.sessions.begin() as session:
        mine = Process.graph_pid == made.graph_pid, Process.command == ALIGN.command
        session.execute(update(Process).where(*mine).values(parameters='{"calibrated": "none"}'))
    night.work()
    assert {process.error_class for process in aligns(night, made.graph_pid)} == {"configuration"}


def claim_one(night: Night, pid: int, attempt: int, command: str) -> Claim:
    where = {"site": night.settings.site, "group": night.settings.group_of(command)}
    claiming = life.claim(pid, attempt, **where, worker="w", host="h", version="v", lease_s=60.0)
    claim = database.transact(night.sessions, claiming.run)
    assert claim is not None
    return claim


def claims_of(night: Night, processes: Sequence[Process]) -> list[Claim]:
    """Claim waiting processes, whatever they wait for."""
    claims = []
    for process in processes:
        with night.sessions.begin() as session:
            session.execute(update(Process).where(Process.pid == process.pid).values(status=QUEUED, pending=0))
        claims.append(claim_one(night, process.pid, process.attempt + 1, process.command))
    return claims


def until_aligned(night: Night) -> None:
    """Be manager and consumer until only alignments and what follows are left."""
    takes = scheduling.take_ready
    doing = Worker(night.settings.deployment)
    while True:
        while database.transact(night.sessions, scheduling.propagate):
            pass
        ready = [one for one in database.transact(night.sessions, takes) if one.pid not in waiting(night)]
        if not ready:
            return
        for item in ready:
            with night.sessions() as session:
                command = session.get_one(Process, item.pid).command
            assert doing.run(claim_one(night, item.pid, item.attempt, command)).failure is None


def waiting(night: Night) -> set[int]:
    with night.sessions() as session:
        return set(session.scalars(select(Process.pid).where(Process.command == ALIGN.command)))


def test_two_workers_of_one_key_compute_once(
    each_ready_url: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two graphs of one observation have the same frame aligned with the same reference at once."""
    night = Night.open(tmp_path / "work", database_url=SecretStr(each_ready_url))
    night.publish(raw)
    one = night.facts().graph_pid
    changed = night.having(detection_threshold=8.0)
    until_aligned(night)
    with night.sessions.begin() as session:
        other = Publisher(session, changed.settings).publish(night.observation()).graph_pid
    assert other != one
    until_aligned(night)
    barrier, runs, lock = threading.Barrier(2 * FRAMES), [], threading.Lock()
    run = ALIGN.run

    def noting(context: Any, parameters: Any) -> Any:
        with lock:
            runs.append(context.pid)
        return run(context, parameters)

    monkeypatch.setitem(STEPS, ALIGN.command, replace(ALIGN, run=noting))
    claims = claims_of(night, [*aligns(night, one), *aligns(night, other)])
    failures = []

    def work(claim: Claim) -> None:
        own = Worker(night.settings.deployment)
        barrier.wait()
        failures.append(own.run(claim).failure)

    threads = [threading.Thread(target=work, args=(claim,)) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [None] * (2 * FRAMES)
    assert len(runs) == FRAMES
    assert computed(night, one) + computed(night, other) == FRAMES
    assert alignments(night, one) == alignments(night, other)
    assert len(alignments(night, one)) == FRAMES
    night.sessions.kw["bind"].dispose()


def test_who_reads_the_same_waits_for_one_at_work_and_makes_it_when_that_fails(
    night: Night, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    made = publish_to_align(night)
    until_aligned(night)
    change_old(night, status=RUNNING)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            change_old(night, status=FAILED)

    monkeypatch.setattr("services.engine.consumer.cutoff.time.sleep", pause)
    [first, *_] = claims_of(night, aligns(night, made.graph_pid)[:1])
    assert Worker(night.settings.deployment).run(first).failure is None
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert opened == [ALIGN.command]


def key_of(connection: Connection, claim: Claim, choices: Choices) -> str | None:
    told = AlignParameters.model_validate_json(claim.parameters).model_dump(exclude_none=True)
    return key_of_read(ALIGN, claim, choices, read_by(connection, ALIGN, claim.pid, told))


def test_the_key_is_of_what_was_chosen(night: Night) -> None:
    old = night.facts().graph_pid
    made = publish_to_align(night)
    night.work()
    keys = []
    for graph in (old, made.graph_pid):
        with night.sessions() as session:
            claims = [
                Claim(one.pid, 1, 3, one.command, one.parameters, one.graph_pid, one.observation_id, one.choices_id)
                for one in aligns(night, graph)
            ]
            keys.append({key_of(session.connection(), claim, night.settings.choices) for claim in claims})
    assert (len(keys[0]), len(keys[1])) == (FRAMES - 1, FRAMES)
    assert keys[0] < keys[1]
    assert None not in keys[1]
