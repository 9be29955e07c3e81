"""Find and run the programs that servers are made of."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.errors import CannotStart

SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"  # servers lie here, and users' PATH often leaves them out
OUTPUT_LINES_SHOWN = 10


def find(*names: str, first: str = "") -> Path | None:
    """The first of ``names`` that is installed; folder ``first`` is looked through before the others."""
    path = os.pathsep.join(part for part in (first, os.environ.get("PATH", ""), SYSTEM_FOLDERS) if part)
    found = (shutil.which(name, path=path) for name in names)
    return next((Path(program) for program in found if program), None)


def run(
    command: Sequence[str | Path], timeout_s: float, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """Run to the end; returns standard output.

    Raises:
        CannotStart: it is not there, failed or took too long; the message ends with what it wrote.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd=cwd,
            env=environ,
            check=True,
        )
    except FileNotFoundError:
        raise CannotStart(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise CannotStart(f"{command[0]} took longer than {timeout_s:.0f} s") from None
    except subprocess.CalledProcessError as error:
        tail = (error.stdout + error.stderr).splitlines()[-OUTPUT_LINES_SHOWN:]
        text = "\n    ".join([f"{' '.join(map(str, command[:3]))} … failed:", *tail])
        raise CannotStart(text) from None
    return done.stdout


def user() -> str:
    """Name of the user, which a database server that root starts must be told."""
    try:
        return getpass.getuser() if os.getuid() else "root"
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user may have no name
