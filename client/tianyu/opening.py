"""Where results are: a folder that `tianyu run` filled, a file, a server, or a `tianyu serve`. They are only read."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from tianyu.asking import Database
from tianyu.errors import NotFoundError
from tianyu.http_service import Service
from tianyu.results import Results

DATABASE_FILE = "tianyu.db"  # in a folder that `tianyu run` filled
VIEWS = {"light_curve", "frame", "source_catalog", "source_place"}  # the contract


def open(place: str | os.PathLike[str], *, token: str | None = None) -> Results:
    """Open results for reading; nothing is ever written.

    Args:
        place: a folder that `tianyu run` filled, a database file, or a URL: ``sqlite:///PATH`` or
            ``mysql+pymysql://USER:PASSWORD@HOST:3306/NAME`` (a user with the right to read is enough), or the address
            of a `tianyu serve`: ``https://HOST:PORT``.
        token: of a service that wants one.

    Raises:
        NotFoundError: there is no database or service, it cannot be read, or it is none of Tianyu's.
    """
    if os.fspath(place).startswith(("http://", "https://")):
        return Results(Service(os.fspath(place), token))
    engine = _engine(place)
    try:
        there = set(inspect(engine).get_view_names())
    except SQLAlchemyError as error:
        raise NotFoundError(f"{_shown(engine.url)} cannot be read: {getattr(error, 'orig', None) or error}") from error
    if missing := VIEWS - there:
        raise NotFoundError(
            f"{_shown(engine.url)} has no view {', '.join(sorted(missing))}: it is no database of Tianyu's, or of an "
            "older one (`tianyu init` upgrades it)"
        )
    return Results(Database(engine, _shown(engine.url)))


def _engine(place: str | os.PathLike[str]) -> Engine:
    text = os.fspath(place)
    if "://" not in text:
        return _sqlite(Path(text).expanduser())
    url = make_url(text)
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(url.database or ""))
    engine = create_engine(url, poolclass=NullPool)

    @event.listens_for(engine, "do_connect")
    def _giving_columns(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        from tianyu.binary_rows import ColumnConnection  # with a driver that not everybody has

        return ColumnConnection(*arguments, **options)

    @event.listens_for(engine, "connect")
    def _read_only(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")

    return engine


def _sqlite(path: Path) -> Engine:
    file = path / DATABASE_FILE if path.is_dir() else path
    if not file.is_file():
        raise NotFoundError(
            f"{str(path)!r} has no {DATABASE_FILE}: expected a folder that `tianyu run` filled (--workdir), its "
            "database, or a URL such as mysql+pymysql://USER:PASSWORD@HOST/NAME"
        )
    url = URL.create("sqlite", database=f"file:{quote(str(file.absolute()))}", query={"mode": "ro", "uri": "true"})
    return create_engine(url, poolclass=NullPool)


def _shown(url: URL) -> str:
    """Without password."""
    if url.get_backend_name() == "sqlite":
        return (url.database or "").removeprefix("file:")
    return url.render_as_string(hide_password=True)
