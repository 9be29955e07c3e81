"""`tianyu restore`: all checksums, then the images, then the database; what was at work then is taken up again.

The database comes last, and its revision last of it: no program takes a half of a restore for a whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import copyfile

from sqlalchemy import Connection, Engine, delete, func, inspect, select, update
from sqlalchemy.exc import DBAPIError

from schema import database, revisions
from schema.base import table_of, utc_now
from schema.database import READ_ONLY
from schema.image import STORED, Image
from schema.observing import Observation
from schema.processes import Process, Service, Site
from schema.queries import image_hold, life
from schema.queries.scheduling import chunks
from schema.queries.services import alive_services
from services.engine.embedded import exclusive
from services.errors import ConfigurationError, DataError
from services.operating.backup import server_dump
from services.operating.backup.backup_folder import BackupFolder, verify
from services.operating.backup.client_programs import LOADING, Server, find
from services.operating.backup.image_copies import Count
from services.operating.backup.image_returns import copy_back, is_there, to_copy
from services.operating.backup.sqlite_copy import make_one_file, put_in_place
from services.settings import Settings
from services.setup import database_failure, initialise, open_engine

TOLD = 5  # of what is wrong with a backup
KINDS = {"sqlite": "SQLite", "mysql": "MySQL", "mariadb": "MariaDB"}
_image = table_of(Image)


@dataclass(frozen=True)
class Restored:
    """What was done: images copied, those that the database names and that are nowhere, processes that were at work."""

    images: int
    lost: int
    interrupted: int
    folders_away: int  # of raw frames, that are not there


def restore(settings: Settings, backup: BackupFolder, *, replace: bool, count: Count) -> Restored:
    """Bring a backup back, into the database and below the root of the settings.

    Raises:
        DataError: the backup is damaged; nothing was changed.
        ConfigurationError: it cannot be restored there, or what is there would be lost; nothing was changed.
        TransientError: database or disk failed.
    """
    if wrong := list(islice(verify(backup), TOLD + 1)):
        more = "; and more" if len(wrong) > TOLD else ""
        raise DataError(f"backup {str(backup.path)!r} is not restored: {'; '.join(wrong[:TOLD])}{more}")
    if backup.manifest.revision > revisions.NEWEST:
        raise ConfigurationError(
            f"backup {str(backup.path)!r} has schema version {backup.manifest.revision}, this Tianyu knows "
            f"{revisions.NEWEST}: restore it by Tianyu {backup.manifest.tianyu} or later"
        )
    if backup.manifest.site != settings.site and backup.manifest.with_images:
        raise ConfigurationError(
            f"backup {str(backup.path)!r} has the images of site {backup.manifest.site!r}, the settings name "
            f"{settings.site!r}: set TIANYU_SITE"
        )
    root = settings.root.absolute()
    engine = open_engine(settings)
    try:
        with _alone(engine, root):
            _require_place(engine, backup, replace)
            paths = to_copy(root, backup, replace=replace)
            copy_back(root, backup, paths, count)
            if engine.dialect.name == "sqlite":
                found = _restore_sqlite(settings, engine, backup, root)
            else:
                server_dump.drop_tables(engine)
                server_dump.load(engine, backup.database)
                _require_whole(engine, backup)
                found = _take_up(settings, engine, root)
    except DBAPIError as error:
        raise database_failure(engine, error) from error
    finally:
        engine.dispose()
    return Restored(len(paths), *found)


@contextmanager
def _alone(engine: Engine, root: Path) -> Iterator[None]:
    """No `tianyu run` may work in the folder of a database of SQLite; services say themselves that they are alive."""
    if engine.dialect.name != "sqlite":
        yield
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        Path(str(engine.url.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"root folder {str(root)!r} cannot be made: {error}; set TIANYU_ROOT") from error
    with exclusive(root):
        yield


def _require_whole(engine: Engine, backup: BackupFolder) -> None:
    """The schema's version is the last thing that is loaded."""
    with engine.connect() as connection:
        if revisions.found(connection) != backup.manifest.revision:
            raise DataError(
                f"file {str(backup.database)!r} ends too early: what was loaded is not whole, and no program takes it "
                "so. Restore another backup with --replace"
            )


def _require_place(engine: Engine, backup: BackupFolder, replace: bool) -> None:
    with engine.connect().execution_options(**READ_ONLY) as connection:
        kind = "sqlite" if engine.dialect.name == "sqlite" else Server.of(connection).kind
        if kind != backup.manifest.engine:
            raise ConfigurationError(
                f"backup {str(backup.path)!r} is of {KINDS.get(backup.manifest.engine, backup.manifest.engine)}, the "
                f"database of the settings of {KINDS[kind]}: each writes its tables down in its own way, so that a "
                "backup comes back to the kind of server it was made from. Set TIANYU_DATABASE_URL"
            )
        if kind != "sqlite":
            find(LOADING[kind], kind, "a database is restored")
        there = set(inspect(connection).get_table_names())
        alive = alive_services(connection) if Service.__tablename__ in there else []
        name = engine.url.render_as_string(hide_password=True)
        if alive:
            raise ConfigurationError(
                f"database {name} is in use: {'; '.join(map(str, alive))}. Stop them, then restore. Nothing was changed"
            )
        if not replace and (found := _rows(connection, there)):
            raise ConfigurationError(
                f"database {name} is not empty ({found}): name an empty one, or say --replace, which drops Tianyu's "
                "tables there. Nothing was changed"
            )


def _rows(connection: Connection, there: set[str]) -> str:
    """What is in the database that would be lost; nothing where `tianyu init` was all."""
    counted = {
        model.__tablename__: connection.scalar(select(func.count()).select_from(table_of(model))) or 0
        for model in (Observation, Image, Process)
        if model.__tablename__ in there
    }
    return ", ".join(f"{name}: {number} rows" for name, number in counted.items() if number)


def _restore_sqlite(settings: Settings, engine: Engine, backup: BackupFolder, root: Path) -> tuple[int, int, int]:
    """Into a file beside, which gets the name when all is done."""
    engine.dispose()
    target = Path(str(engine.url.database)).absolute()
    temporary = target.with_name(f".{target.name}.restoring")
    copyfile(backup.database, temporary)
    beside = database.connect(engine.url.set(database=str(temporary)).render_as_string(hide_password=False))
    try:
        found = _take_up(settings, beside, root)
    finally:
        beside.dispose()
    make_one_file(temporary)
    put_in_place(temporary, target)
    return found


def _take_up(settings: Settings, engine: Engine, root: Path) -> tuple[int, int, int]:
    """Nobody is alive of those who were; images that are nowhere are as those that `tianyu gc` has deleted.

    Returns how many images those are, how many processes were at work, and how many folders of raw frames are away.
    """
    with engine.begin() as connection:
        connection.execute(delete(table_of(Service)))
    initialise(settings, engine, alone=True)
    with database.session_factory(engine).begin() as session:
        image_hold.forget(session)
        interrupted = life.expire_all_leases(session)
        own = _image.c.site_id == select(Site.site_id).where(Site.name == settings.site).scalar_subquery()
        made = session.execute(
            select(_image.c.image_id, _image.c.path).where(
                own, _image.c.kind.in_(STORED), _image.c.deleted_at.is_(None)
            )
        )
        lost = [row.image_id for row in made if not is_there(root, row.path)]
        now = session.execute(select(utc_now())).scalar_one()
        for part in chunks(lost):
            session.execute(update(Image).where(Image.image_id.in_(part)).values(deleted_at=now))
        frames = session.scalars(select(_image.c.path).where(own, _image.c.kind.not_in(STORED)))
        folders = {(root / path).parent for path in frames}
        return len(lost), interrupted, sum(not folder.is_dir() for folder in folders)
