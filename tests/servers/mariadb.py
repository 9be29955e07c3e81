"""A private MariaDB: root without password, on loopback."""

import shutil
from pathlib import Path

from tests.servers import daemon, debian, durability, probe, programs
from tests.servers.errors import CannotStart

INITIALISE_TIMEOUT_S = 300.0
PACKAGES = ("mariadb-server-core", "mariadb-client-core")  # the server without a system service


def start(folder: Path, *, durable: bool = False) -> str:
    """Start in ``folder``, with the data that it holds; returns the URL.

    Raises:
        CannotStart: MariaDB is not installed and cannot be, or does not start.
    """
    server, initialise = _programs()
    if not server or not initialise:
        debian.install(*PACKAGES)
        server, initialise = _programs()
    if not server or not initialise:
        raise CannotStart(f"mariadbd is not there, even after {', '.join(PACKAGES)} were installed")
    data = folder / "data"
    who = f"--user={programs.user()}"
    if not data.is_dir():
        new = folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        # Forced: it need not resolve the name of this machine.
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]
        programs.run([initialise, "--no-defaults", who, f"--datadir={new}", *options], INITIALISE_TIMEOUT_S)
        new.rename(data)
    port = daemon.free_port()
    command: list[str | Path] = [
        server,
        "--no-defaults",
        who,
        f"--datadir={data}",
        "--socket=server.sock",  # in the data folder: a deep checkout would pass the limit of 107 characters
        f"--pid-file={folder / 'server.pid'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--local-infile=1",
        "--character-set-server=utf8mb4",
        *durability.options(durable=durable),
    ]
    return daemon.launch(folder, command, f"mysql+pymysql://root@127.0.0.1:{port}/", probe.mariadb)


def _programs() -> tuple[Path | None, Path | None]:
    return programs.find("mariadbd"), programs.find("mariadb-install-db")
