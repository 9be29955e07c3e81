"""`tianyu backup`: the database at one moment, then the images that it names, then checksums; a name when all is there.

The database first: an image is registered after its file is whole, and while the backup holds images none is deleted,
so that all that the copy of the database names is there to be copied. On servers a few that are newer come along.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from schema import revisions
from schema.base import table_of, utc_now
from schema.database import READ_ONLY
from schema.image import STORED, Image
from schema.processes import Site
from services.checksums import sha256_of
from services.engine.presence import VERSION
from services.errors import ConfigurationError, DataError, TransientError
from services.operating.backup import server_dump, sqlite_copy
from services.operating.backup.backup_folder import (
    DUMP,
    MANIFEST,
    SQLITE_FILE,
    UNFINISHED,
    BackupFolder,
    Manifest,
    backups_in,
    open_backup,
    write_sums,
)
from services.operating.backup.client_programs import Server
from services.operating.backup.image_copies import Copies, Count, copy_images
from services.operating.backup.image_holder import images_held
from services.settings import Settings
from services.setup import database_failure, require_site

LOCK = ".lock"
NAME = "%Y-%m-%dT%H%M%SZ"  # UTC, of a backup's folder
_image = table_of(Image).c


@dataclass(frozen=True)
class Backup:
    """A backup that was made."""

    folder: Path
    manifest: Manifest
    copied_bytes: int
    linked: int


def back_up(settings: Settings, engine: Engine, target: Path, *, images: bool, count: Count) -> Backup:
    """Make a backup in a new folder below ``target``; ``count`` is told how many images are done, and of how many.

    Raises:
        ConfigurationError: the target cannot be, or a program that is needed is not installed.
        TransientError: database or disk failed; what was written is removed by the next backup.
    """
    root, target = settings.root.absolute(), target.absolute()
    if target.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(
            f"{str(target)!r} lies under the root {str(root)!r}, of which it would be a backup: name a folder "
            "elsewhere, best on another disk"
        )
    require_site(settings, engine)
    with _alone_in(target), images_held(engine, settings.lease_s) as holder:
        before = _newest(target, settings.site)
        work = target / f"{UNFINISHED}-{settings.site}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            with _looking(engine) as connection:
                revision = revisions.found(connection)
                taken_at = connection.scalars(select(utc_now())).one().replace(tzinfo=UTC)
                kind, server = _server(connection)
            if kind == "sqlite":
                sqlite_copy.copy(engine, work / SQLITE_FILE)
            else:
                server_dump.dump(engine, work / DUMP)
            with _looking(engine) as connection:
                if revisions.found(connection) != revision or revisions.is_cut(connection):
                    raise TransientError("the database was upgraded while the backup was made: make it again")
                facts = _facts(connection, settings.site)
        except DBAPIError as error:
            raise database_failure(engine, error) from error
        copies = Copies()
        if images:
            copies = copy_images(root, facts.paths, work, before, count)
        holder.require()
        manifest = Manifest(
            tianyu=VERSION, revision=str(revision), engine=kind, server=server, taken_at=taken_at.isoformat(),
            site=settings.site, root=str(root), with_images=images, images=len(copies.sums), missing=copies.missing,
            images_elsewhere=facts.elsewhere, frames=facts.frames,
            frames_under_root=facts.frames_under_root,
        )  # fmt: skip
        return Backup(
            _finish(work, target, manifest, copies.sums, taken_at), manifest, copies.copied_bytes, copies.linked
        )


@dataclass(frozen=True)
class _Facts:
    paths: list[str]  # of images of this site
    elsewhere: int  # images of other sites
    frames: int  # raw frames
    frames_under_root: int


def _facts(connection: Connection, site: str) -> _Facts:
    own = _image.site_id == select(Site.site_id).where(Site.name == site).scalar_subquery()
    made = _image.kind.in_(STORED) & _image.deleted_at.is_(None)
    count = select(func.count()).select_from(table_of(Image))
    return _Facts(
        list(connection.scalars(select(_image.path).where(own, made).distinct())),
        connection.scalar(count.where(~own, made)) or 0,
        connection.scalar(count.where(_image.kind.not_in(STORED))) or 0,
        connection.scalar(count.where(_image.kind.not_in(STORED), own, _image.path.not_like("/%"))) or 0,
    )


@contextmanager
def _looking(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(**READ_ONLY) as connection:
        yield connection


def _server(connection: Connection) -> tuple[str, str]:
    if connection.dialect.name == "sqlite":
        return "sqlite", str(connection.scalar(text("SELECT sqlite_version()")))
    server = Server.of(connection)
    return server.kind, server.version


@contextmanager
def _alone_in(target: Path) -> Iterator[None]:
    """Make the folder and hold it; two backups at a time would take each other's unfinished folder away."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        lock = (target / LOCK).open("w")
    except OSError as error:
        raise ConfigurationError(f"folder {str(target)!r} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"another backup is being made in {str(target)!r}: wait for it") from None
        yield


def _newest(target: Path, site: str) -> BackupFolder | None:
    """The newest whole backup of the site, whose images need not be copied again."""
    for path in reversed(backups_in(target)):
        try:
            backup = open_backup(path)
        except (ConfigurationError, DataError):
            continue  # `tianyu backup --verify` tells
        if backup.manifest.site == site and backup.manifest.with_images:
            return backup
    return None


def _finish(work: Path, target: Path, manifest: Manifest, sums: dict[str, str], taken_at: datetime) -> Path:
    (work / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    for name in (MANIFEST, DUMP, SQLITE_FILE):
        if (work / name).exists():
            sums[name] = sha256_of(work / name)
    write_sums(work, sums)
    final = target / taken_at.strftime(NAME)
    number = 2
    while final.exists():
        final, number = target / f"{taken_at.strftime(NAME)}-{number}", number + 1
    os.sync()  # a name says that all is there, after a power cut too
    work.rename(final)
    return final
