"""Debian's packages, installed by apt where that is allowed."""

import os
from pathlib import Path

from tests.servers import programs
from tests.servers.errors import CannotStart

INSTALL_TIMEOUT_S = 900.0


def install(*packages: str) -> None:
    """Install ``packages`` as root or by ``sudo -n``.

    Raises:
        CannotStart: this is no Debian, the user may not, or apt failed.
    """
    apt = programs.find("apt-get")
    if apt is None:
        raise CannotStart("this machine has no apt-get")
    prefix: list[str | Path] = []
    if os.getuid() != 0:
        sudo = programs.find("sudo")
        if sudo is None:
            raise CannotStart(f"only root may install: run `apt-get install {' '.join(packages)}` as root")
        prefix = [sudo, "-n"]
    options = ["-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    programs.run([*prefix, *quiet, apt, "-q", "update"], INSTALL_TIMEOUT_S)
    programs.run([*prefix, *quiet, apt, "install", *options, *packages], INSTALL_TIMEOUT_S)
