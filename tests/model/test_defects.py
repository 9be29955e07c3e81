"""The smallest lives that showed a fault, or would. What is open is marked; the mark itself fails once it is mended."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import event

from schema.processes import FAILED, SKIPPED, SUCCEEDED, WAITING
from schema.queries import scheduling
from tests.model import defects
from tests.model.facts import check
from tests.model.reference import Node
from tests.model.sql import QUEUES, Sql

QUEUE = QUEUES[0]
ANY = pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
SERVERS = pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)  # SQLite has one writer
CHILDREN = 20
MOMENT_S = 0.3  # in which the other side gets as far as it can without a lock that we hold


def open_defect(name: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(name in defects.OPEN, reason=name, strict=True, raises=AssertionError)


def count(sql: Sql) -> None:
    while sql.propagate(1000):
        pass


def run(sql: Sql, pid: int, *, attempt: int = 1, succeed: bool = True) -> None:
    assert sql.claim(pid, attempt, "w")
    assert sql.succeed(pid, attempt) if succeed else sql.fail(pid, attempt, again=False)


def status(sql: Sql) -> dict[int, str]:
    return {pid: process.status for pid, process in sql.facts().processes.items()}


@ANY
@open_defect(defects.PUBLISHED_BEHIND_A_FAILURE)
def test_what_is_published_behind_a_failure_does_not_start(sql: Sql) -> None:
    """A flat's master failed last night; tonight's frames require it."""
    sql.publish([Node(1, QUEUE)])
    sql.take_ready(100)
    run(sql, 1, succeed=False)
    count(sql)
    sql.publish([Node(2, QUEUE, required=(1,))])
    assert sql.take_ready(100) == []


@ANY
def test_a_retry_behind_another_failure_does_not_start(sql: Sql) -> None:
    sql.publish([Node(1, QUEUE), Node(2, QUEUE), Node(3, QUEUE, required=(1, 2))])
    sql.take_ready(100)
    run(sql, 1, succeed=False)
    run(sql, 2, succeed=False)
    count(sql)
    assert sql.retry([1]) == [1]
    sql.take_ready(100)
    run(sql, 1, attempt=2)
    count(sql)
    assert status(sql)[3] == SKIPPED
    assert sql.take_ready(100) == []
    assert sql.retry([3]) == []
    assert sql.retry([2]) == [2, 3]


@ANY
def test_a_parent_that_comes_back_behind_its_running_child_is_not_counted_twice(sql: Sql) -> None:
    sql.publish([Node(1, QUEUE), Node(2, QUEUE, optional=(1,))])
    sql.take_ready(100)
    run(sql, 1, succeed=False)
    count(sql)
    assert sql.take_ready(100) == [(2, 1)]
    assert sql.claim(2, 1, "w")
    assert sql.retry([1]) == [1]
    assert sql.fail(2, 1, again=True)  # it waits now with nothing pending, and its parent has not ended
    sql.cancel([1])
    count(sql)
    assert sql.facts().processes[2].pending == 0
    assert sql.take_ready(100) == [(2, 2)]


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start ``work`` and let it come to its end, or to a lock that somebody holds."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(MOMENT_S)
    return thread


def one_failed_one_running(sql: Sql, children: int = 1) -> None:
    """3 and so on require 1, which has failed, so that they are skipped; and 2, which runs."""
    behind = [Node(pid, QUEUE, required=(1, 2)) for pid in range(3, 3 + children)]
    sql.publish([Node(1, QUEUE), Node(2, QUEUE), *behind])
    sql.take_ready(100)
    run(sql, 1, succeed=False)
    assert sql.claim(2, 1, "w")
    count(sql)
    assert status(sql)[3] == SKIPPED


@SERVERS
def test_an_end_that_is_counted_during_a_retry_is_not_lost(sql: Sql) -> None:
    """The manager counts the success of 2 while the operator retries 1: 3 must not wait for 2 for ever."""
    one_failed_one_running(sql)
    sql.succeed(2, 1)
    with sql.sessions.begin() as manager:
        scheduling.propagate(manager)  # 3 is skipped and not counted down
        retry = in_thread(lambda: sql.retry([1]))
    retry.join()
    count(sql)
    sql.take_ready(100)
    run(sql, 1, attempt=2)
    count(sql)
    assert sql.facts().processes[3].pending == 0
    assert sql.take_ready(100) == [(3, 1)]


def retry_with_intruder(sql: Sql, before: int, intrude: Callable[[], object]) -> bool:
    """Retry 1, with ``intrude`` before so many statements have run; False when there are not so many."""
    intruders: list[threading.Thread] = []
    operator = threading.get_ident()
    statements = 0

    def count_statement(*_all: object) -> None:
        nonlocal statements
        if threading.get_ident() == operator:
            statements += 1
            if statements == before:
                intruders.append(in_thread(intrude))

    event.listen(sql.engine, "before_cursor_execute", count_statement)
    try:
        sql.retry([1])
    finally:
        event.remove(sql.engine, "before_cursor_execute", count_statement)
    for intruder in intruders:
        intruder.join()
    return bool(intruders)


@SERVERS
@open_defect(defects.RETRY_LOOKS_TOO_EARLY)
def test_a_failure_that_is_counted_during_a_retry_is_not_lost(sql: Sql) -> None:
    """2 fails for good between any two statements of the retry of 1: what requires it must never start.

    With one child the servers find it by its key and wait for the operator's lock. With many they walk the table, and
    pass over locked rows that do not wait by what is committed of them.
    """

    def fail_the_other() -> None:
        assert sql.fail(2, 1, again=False)
        sql.propagate(1000)

    started = []
    before = 0
    while True:
        before += 1
        sql.clear()
        one_failed_one_running(sql, CHILDREN)
        if not retry_with_intruder(sql, before, fail_the_other):
            break
        count(sql)
        sql.take_ready(100)
        run(sql, 1, attempt=2)
        count(sql)
        assert status(sql)[2] == FAILED
        if sql.take_ready(100):
            started.append(before)
    assert before > 5
    assert not started, f"children of 2 start, which failed before these statements of the retry: {started}"


@SERVERS
def test_two_retries_at_once_leave_what_has_succeeded_since(sql: Sql) -> None:
    """The second of two operators must not send back what the first has revived and a worker has finished."""
    # The first statements of the second, before it holds a lock.
    for before in (1, 2):
        sql.clear()
        sql.publish([Node(1, QUEUE)])
        sql.take_ready(100)
        run(sql, 1, succeed=False)

        def retry_and_run() -> None:
            if sql.retry([1]) and sql.take_ready(100):
                run(sql, 1, attempt=2)

        assert retry_with_intruder(sql, before, retry_and_run)
        facts = sql.facts()
        check(facts, {1: ((), ())})
        assert status(sql)[1] == (SUCCEEDED if facts.outputs else WAITING)


@SERVERS
def test_a_retry_revives_what_the_manager_skips_meanwhile(sql: Sql) -> None:
    sql.publish([Node(1, QUEUE), Node(2, QUEUE, required=(1,))])
    sql.take_ready(100)
    run(sql, 1, succeed=False)
    with sql.sessions.begin() as manager:
        scheduling.propagate(manager)
        retry = in_thread(lambda: sql.retry([1]))
    retry.join()
    count(sql)
    assert status(sql) == {1: WAITING, 2: WAITING}
