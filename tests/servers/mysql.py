"""A private MySQL: root without password, on loopback.

Debian carries MySQL in unstable only: it is unpacked there with its own C library and started by its own loader,
so that nothing of this system is changed or needed. Where a mysqld is installed, that one is taken.
"""

import shutil
from pathlib import Path

from tests.servers import daemon, durability, probe, programs, unpacked
from tests.servers.errors import CannotStart

INITIALISE_TIMEOUT_S = 300.0
VERSION_TIMEOUT_S = 30.0
PACKAGE, SUITE = "mysql-server-core", "sid"

Command = list[str | Path]


def start(folder: Path, *, durable: bool = False) -> str:
    """Start in ``folder``; returns the URL.

    Raises:
        CannotStart: MySQL is not installed and cannot be fetched, or does not start.
    """
    program, options = _installed() or _fetched()
    server = [*program, "--no-defaults", *options, f"--user={programs.user()}"]
    data = folder / "data"
    if not data.is_dir():
        new = folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        programs.run([*server, f"--datadir={new}", "--initialize-insecure"], INITIALISE_TIMEOUT_S)
        new.rename(data)
    port = daemon.free_port()
    command = [
        *server,
        f"--datadir={data}",
        "--socket=server.sock",  # in the data folder: a deep checkout would pass the limit of 107 characters
        f"--pid-file={folder / 'server.pid'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--mysqlx=OFF",
        "--local-infile=ON",
        "--disable-log-bin",
        "--secure-file-priv=NULL",  # the packaged folder does not exist; the server never reads or writes files for us
        "--performance-schema=OFF",  # saves 200 MB
        *durability.options(durable=durable),
    ]
    return daemon.launch(folder, command, f"mysql+pymysql://root@127.0.0.1:{port}/", probe.mysql)


def _installed() -> tuple[Command, Command] | None:
    """The installed mysqld and its options; MariaDB answers to that name too."""
    server = programs.find("mysqld")
    if server is None or "mariadb" in programs.run([server, "--no-defaults", "--version"], VERSION_TIMEOUT_S).lower():
        return None
    return [server], []


def _fetched() -> tuple[Command, Command]:
    """The unpacked mysqld under its own loader, and the options that tell it where it lies."""
    root = unpacked.unpack(PACKAGE, SUITE)
    loader = next(iter(sorted(root.glob("usr/lib*/ld-linux*.so.*"))), None)
    libraries = next(iter(sorted(root.glob("usr/lib/*-linux-gnu*"))), None)
    if loader is None or libraries is None:
        raise CannotStart(f"{root} holds no loader and libraries: remove it, and it is fetched again")
    share = root / "usr/share/mysql"
    options: Command = [
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
    ]
    return [loader, "--library-path", libraries, root / "usr/sbin/mysqld"], options
