"""Statements are compiled once for all databases of a kind, not once a test.

SQLAlchemy keeps what it has compiled with an engine, and each test's database has an engine of its own: a fifth of the
time of tests that ask a database was the same statements again. Programs, which tests start, are as ever.
"""

from collections.abc import Hashable
from functools import wraps
from typing import Any

from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache

from schema import database

STATEMENTS = 4000

Key = tuple[Any, ...]


class SharedCache:
    """As an engine's own cache, whose keys begin with the engine's dialect."""

    def __init__(self) -> None:
        self._kept: LRUCache[Key, Any] = LRUCache(STATEMENTS)

    def get(self, key: Key, default: Any = None) -> Any:
        """What was kept by the engine, or one of its kind."""
        return self._kept.get((kind_of(key[0]), *key[1:]), default)

    def __setitem__(self, key: Key, value: Any) -> None:
        """Keep it."""
        self._kept[(kind_of(key[0]), *key[1:])] = value


def kind_of(dialect: Dialect) -> Hashable:
    """What the text of a statement goes by."""
    told = ("server_version_info", "is_mariadb", "paramstyle", "_sql_mode", "_casing")
    return (type(dialect), *(str(getattr(dialect, name, None)) for name in told))


def install() -> None:
    """From now on."""
    shared, real = SharedCache(), database.create_engine

    @wraps(real)
    def sharing(*arguments: Any, **options: Any) -> Engine:
        engine: Engine = real(*arguments, **options)
        engine._compiled_cache = shared  # type: ignore[assignment]
        return engine

    database.create_engine = sharing  # type: ignore[assignment]
