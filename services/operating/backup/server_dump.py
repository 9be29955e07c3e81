"""A MySQL or MariaDB database as one compressed file of SQL, at one moment, by the server's own program; and back."""

import gzip
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from sqlalchemy import Engine, inspect, text

from schema.models import metadata
from schema.revisions import ALEMBIC, PROGRESS
from services.errors import DataError, TransientError
from services.operating.backup.backup_folder import READ_BYTES
from services.operating.backup.client_programs import DUMPING, LOADING, Server, environment, find, options_file

COMPRESSION = 3  # of 9: numbers get to two fifths; more takes longer than the disk
TRIES = 3
END = b"-- Dump completed"
END_BYTES = 200  # the line is among the last
SANDBOX = b"/*M!999999"  # a first line that programs of other versions do not know
TABLE_CHANGED = "1412"  # partitions were arranged since the moment that is copied
OPTIONS = (
    *("--single-transaction", "--quick", "--hex-blob", "--skip-triggers", "--no-tablespaces"),
    *("--default-character-set=utf8mb4", "--comments"),
)
OF_MYSQL = ("--set-gtid-purged=OFF", "--loose-column-statistics=0")  # loose: some know no such option


def dump(engine: Engine, target: Path) -> None:
    """Write all tables into ``target``, the schema's revision as the last one.

    Views are not in it: who restores makes them. Locks of a moment aside, nobody waits for it.

    Raises:
        ConfigurationError: the program for it is not installed.
        TransientError: it failed; its own words are told.
    """
    with engine.connect() as connection:
        server = Server.of(connection)
        tables = inspect(connection).get_table_names()
    known = [name for name in sorted(tables) if name not in (ALEMBIC, PROGRESS)] + [ALEMBIC]
    program = find(DUMPING[server.kind], server.kind, "a database is copied")
    own = () if program.is_mariadb else OF_MYSQL
    with options_file(engine.url, program, server) as connecting:
        command = [program.path, connecting, *OPTIONS, *own, str(engine.url.database), *known]
        for number in range(TRIES):
            said = _write(command, target)
            if said is None:
                return
            if TABLE_CHANGED not in said or number == TRIES - 1:
                break
    raise TransientError(f"database {engine.url.render_as_string(hide_password=True)} cannot be copied: {said}")


def _write(command: list[str], target: Path) -> str | None:
    """What the program complains of; None if all is written."""
    with tempfile.TemporaryFile() as complaints, target.open("wb") as file:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, env=environment()) as process:  # noqa: S603 - found by name, and names of the database
            assert process.stdout is not None
            end = b""
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed:
                while part := process.stdout.read(READ_BYTES):
                    packed.write(part)
                    end = (end + part)[-END_BYTES:]
        if process.returncode == 0 and END in end:
            return None
        return _words(complaints) or f"{Path(command[0]).name} ended with {process.returncode} before it was done"


def drop_tables(engine: Engine) -> None:
    """Drop what is Tianyu's in a database, views and tables."""
    from schema import database, versions, views

    with database.changing(engine, versions.LOCK_WAIT_S) as connection:
        views.drop(connection)
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for name in (ALEMBIC, PROGRESS, *metadata.tables):  # the revision first: half a database is none
            connection.execute(text(f"DROP TABLE IF EXISTS `{name}`"))
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 1"))


def load(engine: Engine, source: Path) -> None:
    """Carry out a dump.

    Raises:
        ConfigurationError: the program for it is not installed.
        TransientError: it failed; what was loaded is without a revision, so that no program takes it for whole.
    """
    with engine.connect() as connection:
        server = Server.of(connection)
    program = find(LOADING[server.kind], server.kind, "a database is restored")
    with options_file(engine.url, program, server) as connecting, tempfile.TemporaryFile() as complaints:
        command = [program.path, connecting, "--default-character-set=utf8mb4", "--batch", str(engine.url.database)]
        with (
            _unpacked(source) as packed,
            subprocess.Popen(  # noqa: S603 - found by name, and a name of the database
                command, stdin=subprocess.PIPE, stdout=complaints, stderr=complaints, env=environment()
            ) as process,
        ):
            assert process.stdin is not None
            _pour(packed, process.stdin)
        if process.returncode:
            raise TransientError(
                f"database {engine.url.render_as_string(hide_password=True)} cannot be restored: {_words(complaints)}; "
                "what was loaded is not whole, and no program takes it so. Mend the cause, then restore again with "
                "--replace"
            )


@contextmanager
def _unpacked(source: Path) -> Iterator[gzip.GzipFile]:
    try:
        with gzip.open(source, "rb") as packed:
            yield packed
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"file {str(source)!r} is damaged: {error}") from error


def _pour(packed: gzip.GzipFile, into: BinaryIO | IO[bytes]) -> None:
    try:
        first = packed.readline()
        if not first.startswith(SANDBOX):
            into.write(first)
        while part := packed.read(READ_BYTES):
            into.write(part)
    except BrokenPipeError:  # its own words are told
        return
    finally:
        with suppress(BrokenPipeError):
            into.close()


def _words(file: IO[bytes]) -> str:
    file.seek(0)
    return " ".join(file.read().decode("utf-8", "replace").split())[-2000:]
