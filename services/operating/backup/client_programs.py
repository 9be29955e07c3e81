"""The programs of MySQL and MariaDB that write a database down and read it again, and how they are told of the server.

Passwords go by a file that only this user may read, never by a command line, which all users of a machine see.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, text

from services.errors import ConfigurationError

MARIADB, MYSQL = "mariadb", "mysql"
DUMPING = {MARIADB: ("mariadb-dump", "mysqldump"), MYSQL: ("mysqldump", "mariadb-dump")}
LOADING = {MARIADB: ("mariadb", "mysql"), MYSQL: ("mysql", "mariadb")}
VERSION_TIMEOUT_S = 30.0
OF_THE_ENVIRONMENT = "MYSQL_"  # variables that would say otherwise than the settings
# How SQLAlchemy calls what stands behind the ? of a URL, and the programs' own options.
SSL_FILES = {"ssl_ca": "ssl-ca", "ssl_capath": "ssl-capath", "ssl_cert": "ssl-cert", "ssl_key": "ssl-key"}


@dataclass(frozen=True)
class Server:
    """Which server a database is on, and whether the connection to it is encrypted."""

    kind: str
    version: str
    encrypted: bool

    @classmethod
    def of(cls, connection: Connection) -> "Server":
        """The one that is connected to."""
        kind = MARIADB if getattr(connection.dialect, "is_mariadb", False) else MYSQL
        version = str(connection.scalar(text("SELECT VERSION()")))
        cipher = connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'")).one()[1]
        return cls(kind, version, bool(cipher))


@dataclass(frozen=True)
class Program:
    """A program of this machine, and whether it is MariaDB's: the two have other options."""

    path: str
    is_mariadb: bool


def find(names: Sequence[str], kind: str, task: str) -> Program:
    """The first of these programs that is installed.

    Raises:
        ConfigurationError: none is.
    """
    for name in names:
        if path := shutil.which(name):
            said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S)  # noqa: S603 - ours
            return Program(path, "mariadb" in said.stdout.lower())
    package = (
        "mariadb-client" if kind == MARIADB else "mysql-client (Oracle's packages) or default-mysql-client (Debian's)"
    )
    raise ConfigurationError(
        f"program {' or '.join(names)} is not installed, by which {task}: install package {package}, or give the "
        "command on a machine that has it"
    )


@contextmanager
def options_file(url: URL, program: Program, server: Server) -> Iterator[str]:
    """The option that names a file with host, user, password and TLS; the file is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tianyu-") as folder:  # 0700
        path = Path(folder) / "options.cnf"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write("[client]\n")
            for name, value in _options(url, program, server):
                file.write(f"{name}={_quoted(value)}\n")
        yield f"--defaults-file={path}"


def _options(url: URL, program: Program, server: Server) -> Iterator[tuple[str, str]]:
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    if socket := query.get("unix_socket"):
        yield "socket", socket
    else:
        yield "protocol", "TCP"  # as our own connection: `localhost` would be a socket
        yield "host", url.host or "127.0.0.1"
        yield "port", str(url.port or 3306)
    yield "user", url.username or ""
    if url.password is not None:
        yield "password", str(url.password)
    named = {option: query[name] for name, option in SSL_FILES.items() if name in query}
    yield from named.items()
    verified = "ssl_ca" in query or "ssl_capath" in query
    if program.is_mariadb:  # loose: some know no such option
        yield "loose-ssl", "1" if server.encrypted else "0"
        yield "loose-ssl-verify-server-cert", "1" if verified else "0"
    elif not server.encrypted:
        yield "ssl-mode", "DISABLED"
        yield "loose-get-server-public-key", "1"
    else:
        yield "ssl-mode", "VERIFY_IDENTITY" if verified else "REQUIRED"


def _quoted(value: str) -> str:
    r"""As such files are read: ``\`` and ``"`` are escaped."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def environment() -> dict[str, str]:
    """Ours, without what would say otherwise than the file of options."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_THE_ENVIRONMENT)}
