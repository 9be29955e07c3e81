"""Index files for plate solving: Tycho-2's of Debian, installed or unpacked beside the system (190 MB, once a user)."""

import fcntl
import os
import sys
from pathlib import Path

import pytest

from services.sky.solving.index_files import find_index_files
from tests.servers import unpacked
from tests.servers.errors import CannotStart

PACKAGE, SUITE = "astrometry-data-tycho2", "stable"
SCALES = ("07", "08", "09", "10-19")  # patterns of 22 arcmin to 33 degrees
NEEDED = len(range(7, 20))


def find_index_folder(folder: Path) -> Path:
    """A folder with all of them: the system's, else ``folder``, which is filled with links.

    Raises:
        CannotStart: they are not installed and cannot be downloaded.
    """
    installed = find_index_files(None)
    if len(installed) >= NEEDED:
        return installed[0].path.parent
    unpacked.cache().mkdir(parents=True, exist_ok=True)
    with (unpacked.cache() / "index-files.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers would each download them
        parts = [f"{PACKAGE}-{scales}-{sys.byteorder}endian" for scales in SCALES]
        root = unpacked.unpack(PACKAGE, SUITE, parts=parts)
        for file in (root / "usr" / "share" / "astrometry").glob("*.fits"):
            (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with Tycho-2's index files 07 to 19; a test is skipped where they cannot be had, but not in CI."""
    try:
        return find_index_folder(tmp_path_factory.mktemp("index_files"))
    except CannotStart as reason:
        lacking = f"index files of Astrometry.net (Debian: astrometry-data-tycho2) are lacking: {reason}"
        if os.environ.get("CI"):
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
