"""Statements that go to a server together do what they would do one by one."""

import ssl
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    SmallInteger,
    String,
    Table,
    bindparam,
    create_engine,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from schema import binary_rows, database, driver
from schema.base import UtcDateTime
from schema.driver import JoiningConnection
from schema.loading import ROWS_LEAST
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
MANY = 2000
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


def test_without_an_authority_none_is_read_and_encrypted_is_what_the_driver_encrypts(
    each_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the machine take longer than the connection."""

    def cipher(engine: Engine) -> str:
        with engine.connect() as connection:
            found = connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1] if connects else ""
        engine.dispose()
        return str(found)

    connects = not each_database_url.startswith("sqlite")
    by_driver = cipher(create_engine(each_database_url))
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *args: pytest.fail("they are read"))
    assert cipher(database.connect(each_database_url)) == by_driver


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


@pytest.mark.parametrize("way", ["loaded", "not allowed", "few"])
def test_numbers_arrive_to_the_last_bit(
    engine: Engine, asked: list[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    numbers: list[float | None] = [None, 0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 3]
    random = np.random.default_rng(5)
    numbers += (random.uniform(-1, 1, 300) * 10.0 ** random.integers(-300, 300, 300)).tolist()
    numbers += random.uniform(0, 1e6, 300).tolist()
    rows = [(pid, "", number, None) for pid, number in enumerate(numbers)]
    if way == "not allowed":
        monkeypatch.setattr(driver.CLIENT, "LOCAL_FILES", 0)
    names, kept = ("pid", "number"), [(pid, number) for pid, _, number, _ in rows]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE joined"))
        connection.execute(text("CREATE TABLE joined (pid BIGINT PRIMARY KEY, number DOUBLE)"))
    engine.dispose()
    with Session(engine) as session, session.begin():
        for start in range(0, len(kept), 50 if way == "few" else len(kept)):
            part = kept[start : start + (50 if way == "few" else len(kept))]
            assert insert_rows(session, TABLE, names, part) == len(part)
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(text("SELECT pid, number FROM joined ORDER BY pid"))] == kept
    if engine.dialect.name != "sqlite":
        assert any(one.startswith("LOAD DATA") for one in asked) == (way != "few")
        assert any(one.startswith("INSERT") for one in asked) == (way != "loaded")


@pytest.mark.parametrize("broken", ["key", "room", "infinite"])
def test_rows_that_a_table_cannot_take_are_an_error_and_none_goes_in(engine: Engine, broken: str) -> None:
    table = Table("plain", MetaData(), Column("pid", BigInteger, primary_key=True), Column("small", SmallInteger))
    table.create(engine)
    rows: list[tuple[int, float]] = [(pid, 1) for pid in range(ROWS_LEAST + 1)]
    rows[7] = {"key": (3, 1), "room": (7, 100_000), "infinite": (7, float("inf"))}[broken]
    if engine.dialect.name == "sqlite":  # it has room in each column
        rows[7] = (3, 1)
    with pytest.raises(DBAPIError), Session(engine) as session, session.begin():
        insert_rows(session, table, ("pid", "small"), rows)
    with engine.connect() as connection:
        assert connection.execute(select(table)).all() == []


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
def test_columns_are_what_rows_are(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with Session(engine) as session, session.begin():
        insert_rows(session, TABLE, ("pid", "word", "number"), [(pid, "", pid / 7) for pid in range(MANY)])
    query = text("SELECT pid, number, CAST(pid % 100 AS UNSIGNED) FROM joined WHERE pid >= :least ORDER BY pid")
    with engine.connect() as connection:
        opened: Any = connection.connection.driver_connection

        def columns(query: Any, **given: int) -> list[Any]:
            with opened.giving_columns():
                cursor: Any = connection.execute(query, given).cursor
            return [column.tolist() for column in cursor.columns]

        monkeypatch.setattr(binary_rows, "READ_BYTES", 1000)  # which ends in the midst of rows
        for least in (0, MANY - 1, MANY):
            rows = connection.execute(query, {"least": least}).all()
            assert columns(query, least=least) == ([list(column) for column in zip(*rows, strict=True)] or [[]] * 3)
        with pytest.raises(DBAPIError):
            columns(text("SELECT no_such FROM joined"))
        assert columns(text("SELECT 1")) == [[1]], "the connection is as good as before"


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize(
    ("query", "says"), [("SELECT word FROM joined", "hold no numbers"), ("SELECT pid, number FROM joined", "NULL")]
)
def test_columns_of_what_is_no_number_are_refused(engine: Engine, query: str, says: str) -> None:
    with engine.begin() as connection:
        run(connection, *(ADD(new_pid=pid, new_word="a") for pid in range(3)))
    with engine.connect() as connection:
        opened: Any = connection.connection.driver_connection
        with pytest.raises(DBAPIError, match=says), opened.giving_columns():
            connection.execute(text(query))
    assert words(engine) == dict.fromkeys(range(3), "a"), "the next connection is another"


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
@pytest.mark.parametrize("read_bytes", [1, 1000, binary_rows.READ_BYTES])
def test_parts_of_all_kinds_are_what_rows_are(engine: Engine, monkeypatch: pytest.MonkeyPatch, read_bytes: int) -> None:
    """With NULLs, texts of all lengths, dates, and sums that the server gives as text."""
    monkeypatch.setattr(binary_rows, "READ_BYTES", read_bytes)
    monkeypatch.setattr(binary_rows, "PART_BYTES", 20_000)
    moments = [None, datetime(2026, 2, 3), datetime(2026, 2, 3, 4, 5, 6), datetime(2026, 2, 3, 4, 5, 6, 7)]
    long = ["ü" * 20, "x" * 250, "x" * 251, "x" * 300, ""]
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE joined MODIFY word MEDIUMTEXT, ADD day DATE, ADD small TINYINT UNSIGNED"))
        rows = [
            {
                "pid": pid,
                "word": None if pid % 5 == 1 else long[pid % 7] if pid % 7 < len(long) else str(pid),
                "number": None if pid % 3 == 0 else pid / 7,
                "moment": moments[pid % len(moments)],
                "day": None if pid % 2 else date(2026, 2, 3),
                "small": None if pid % 11 == 0 else pid % 256,
            }
            for pid in range(300)
        ]  # fmt: skip
        rows[150]["word"] = "x" * 70_000  # once: it may be read byte by byte
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.execute(text(f"INSERT INTO joined ({names}) VALUES ({marks})"), rows)
    queries = (
        "SELECT pid, word, number, moment, day, small, NULL, pid * -1 FROM joined WHERE pid >= 0 ORDER BY pid",
        "SELECT word, number FROM joined WHERE pid < 0",
        "SELECT SUM(pid), AVG(pid), SUM(pid) * 1000000000000000, COUNT(*), MAX(word), MIN(day) FROM joined",
        "SELECT number FROM joined WHERE number IS NULL",
    )
    with engine.connect() as connection:
        for query in queries:
            expected = [tuple(row) for row in connection.execute(text(query))]
            assert _in_parts(connection, query) == expected
        with pytest.raises(DBAPIError, match="no type that is read"):
            _in_parts(connection, "SELECT CAST('10:11:12' AS TIME) AS clock")


def _in_parts(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    opened: Any = connection.connection.driver_connection
    with opened.giving_columns(in_parts=True):
        cursor: Any = connection.execute(text(query)).cursor
    found = []
    for part in cursor.parts:
        columns = []
        for values, missing in part:
            listed = values if isinstance(values, list) else values.tolist()
            gone = [False] * len(listed) if missing is None else missing.tolist()
            columns.append([None if is_gone else one for one, is_gone in zip(listed, gone, strict=True)])
        found += zip(*columns, strict=True)
    return found


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
def test_who_leaves_amid_parts_takes_the_connection_along(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_rows, "READ_BYTES", 1000)
    monkeypatch.setattr(binary_rows, "PART_BYTES", 1000)
    with Session(engine) as session, session.begin():
        insert_rows(session, TABLE, ("pid", "word", "number"), [(pid, "", pid / 7) for pid in range(MANY)])
    with engine.connect() as connection:
        opened: Any = connection.connection.driver_connection
        with opened.giving_columns(in_parts=True):
            result = connection.execute(text("SELECT pid FROM joined ORDER BY pid"))
        cursor: Any = result.cursor
        [column] = next(cursor.parts)
        assert 0 < len(column.values) < MANY
        result.close()
        assert not opened.open
    assert len(words(engine)) == MANY, "the next connection is another"


def test_awkward_texts_stay_texts_among_joined_statements(engine: Engine) -> None:
    with engine.begin() as connection:
        commit(connection, *(ADD(new_pid=pid, new_word=word) for pid, word in enumerate(AWKWARD)))
    assert words(engine) == dict(enumerate(AWKWARD))
