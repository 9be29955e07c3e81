"""Connections of who only reads: they cannot write, and take so much of a server and no more."""

from typing import Any

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.sql.compiler import NO_LINTING

READER_ROWS = 500_000_000  # that a server thinks it must look at; of readers more is refused at once, not cut off


def forbid_writing(engine: Engine, statement_s: int) -> None:
    """Have the engine's connections refuse to write, whoever logs in, and a server refuse or end what takes long."""

    @event.listens_for(engine, "connect")
    def _forbid(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for line in _forbidding(engine, statement_s):
            cursor.execute(line)
        cursor.close()

    engine.dispose()  # of connections that were made before


def allow_cross_joins(engine: Engine) -> None:
    """Do not warn of tables that nothing joins: who asks by ADQL may want all pairs.

    SQLAlchemy's compiler for servers also takes a third table that a comma joins for one that nobody named.
    """
    engine.dialect.compiler_linting = NO_LINTING  # as create_engine sets it


def _forbidding(engine: Engine, statement_s: int) -> list[str]:
    if engine.dialect.name == "sqlite":
        return ["PRAGMA query_only=ON"]
    largest = f"SET SESSION max_join_size = {READER_ROWS}"
    return ["SET SESSION TRANSACTION READ ONLY", statement_limit(engine.dialect, statement_s), largest]


def statement_limit(dialect: Dialect, seconds: float) -> str:
    """What has a server end statements of a session that take longer."""
    if getattr(dialect, "is_mariadb", False):
        return f"SET SESSION max_statement_time = {seconds:f}"
    return f"SET SESSION max_execution_time = {1000 * seconds:.0f}"
