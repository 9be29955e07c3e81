"""Statements that go to a server together do what they would do one by one."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema import database, driver
from schema.base import UtcDateTime
from schema.driver import JoiningConnection
from schema.prepared import Batch, Call, Found, Prepared, run
from schema.queries.measurements import insert_rows

TABLE = Table(
    "joined",
    MetaData(),
    Column("pid", BigInteger, primary_key=True, autoincrement=False),
    Column("word", String(200), nullable=False),
    Column("number", Double),
    Column("moment", UtcDateTime),
)
ADD = Prepared(insert(TABLE).values(pid=bindparam("new_pid"), word=bindparam("new_word")))
RENAME = Prepared(update(TABLE).where(TABLE.c.pid.in_(bindparam("pids", expanding=True))).values(word=bindparam("new")))
WORDS = Prepared(select(TABLE.c.pid, TABLE.c.word).order_by(TABLE.c.pid))
# What would end a text, a statement or a mark, were it not escaped.
AWKWARD = ["'", '"', "\\", "\\'; DROP TABLE joined; -- ", "%s", "%(pid)s", "%%", "a;b", "; COMMIT", "ü✓", "", "\n\0"]


@pytest.fixture
def engine(each_database_url: str) -> Iterator[Engine]:
    engine = database.connect(each_database_url)
    TABLE.create(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent to a MySQL or MariaDB server."""
    sent: list[str] = []
    execute = JoiningConnection._execute_command

    def remember(self: JoiningConnection, command: int, sql: object) -> None:
        sent.append(sql.decode() if isinstance(sql, bytes | bytearray) else str(sql))
        execute(self, command, sql)

    monkeypatch.setattr(JoiningConnection, "_execute_command", remember)
    return sent


def commit(opened: Connection | Session, *calls: Call) -> list[Found]:
    return Batch(calls, list).commit(opened)


def words(engine: Engine) -> dict[int, str]:
    with engine.connect() as connection:
        return dict(connection.execute(select(TABLE.c.pid, TABLE.c.word).order_by(TABLE.c.pid)).all())


def test_each_statement_tells_what_it_did(engine: Engine) -> None:
    with engine.begin() as connection:
        found = run(
            connection,
            *(ADD(new_pid=pid, new_word="old") for pid in (1, 2, 3)),
            RENAME(pids=[1, 3], new="new"),
            RENAME(pids=[7], new="none"),
            WORDS(),
            RENAME(pids=[2], new="last"),
        )
    assert [one.changed for one in found[:5]] == [1, 1, 1, 2, 0]
    assert [tuple(row) for row in found[5].rows] == [(1, "new"), (2, "old"), (3, "new")]
    assert words(engine) == {1: "new", 2: "last", 3: "new"}


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_one_that_fails_ends_them_all_and_nothing_is_committed(engine: Engine, broken: int) -> None:
    with engine.begin() as connection:
        run(connection, ADD(new_pid=1, new_word="old"))
    calls = [ADD(new_pid=2, new_word="new"), ADD(new_pid=3, new_word="new")]
    calls.insert(broken, ADD(new_pid=1, new_word="twice"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        commit(connection, *calls)
    assert words(engine) == {1: "old"}
    with engine.begin() as connection:  # the connection is as good as before
        run(connection, ADD(new_pid=4, new_word="after"))
    assert words(engine) == {1: "old", 4: "after"}


def test_the_commit_comes_with_the_last_statements_and_not_again(engine: Engine, asked: list[str]) -> None:
    with engine.connect() as connection:
        asked.clear()
        with Session(connection) as session, session.begin():
            commit(session, ADD(new_pid=1, new_word="a"), ADD(new_pid=2, new_word="b"))
        if engine.dialect.name != "sqlite":  # a file has no round trips
            assert len(asked) == 1
            assert asked[0].endswith("; COMMIT")
            asked.clear()
            with Session(connection) as session, session.begin():
                assert commit(session) == []
            assert asked == [], "nothing to do"
    assert words(engine) == {1: "a", 2: "b"}


def test_what_was_asked_after_a_commit_is_committed_or_undone_itself(engine: Engine) -> None:
    with engine.connect() as connection:
        commit(connection, ADD(new_pid=1, new_word="kept"))
        connection.commit()
        run(connection, ADD(new_pid=2, new_word="undone"))
        connection.rollback()
        commit(connection, WORDS())
        connection.execute(text("INSERT INTO joined (pid, word) VALUES (3, 'kept')"))
        connection.commit()
        with pytest.raises(IntegrityError):
            run(connection, ADD(new_pid=4, new_word="undone"), ADD(new_pid=1, new_word="twice"))
        connection.rollback()
    assert words(engine) == {1: "kept", 3: "kept"}


@pytest.mark.parametrize("characters", [60, driver.STATEMENT_CHARACTERS])
def test_many_rows_arrive_as_they_were(engine: Engine, monkeypatch: pytest.MonkeyPatch, characters: int) -> None:
    monkeypatch.setattr(driver, "STATEMENT_CHARACTERS", characters)
    moment = datetime(2026, 2, 3, 4, 5, 6, 789)
    numbers = [None, 0.1, -1e300, 5e-324, 7, True]
    rows = [
        (pid, word, numbers[pid % len(numbers)], moment.isoformat(" ", "microseconds"))
        for pid, word in enumerate(AWKWARD * 2)
    ]
    with Session(engine) as session, session.begin():
        assert insert_rows(session, TABLE, ("pid", "word", "number", "moment"), rows) == len(rows)
    with engine.connect() as connection:
        found = connection.execute(select(TABLE).order_by(TABLE.c.pid)).all()
    assert [tuple(row) for row in found] == [(pid, word, number, moment) for pid, word, number, _ in rows]


def test_awkward_texts_stay_texts_among_joined_statements(engine: Engine) -> None:
    with engine.begin() as connection:
        commit(connection, *(ADD(new_pid=pid, new_word=word) for pid, word in enumerate(AWKWARD)))
    assert words(engine) == dict(enumerate(AWKWARD))
