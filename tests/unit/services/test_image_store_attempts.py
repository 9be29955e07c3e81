"""Attempts of one process write one file: a killed one leaves nothing for long, two at once never mix."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from services import image_store
from services.errors import TransientError
from services.image_store import TEMPORARY_FOLDER, open_store

PATH, OTHER = "calibrated/4/1700000000000000001.fits", "calibrated/4/170000000000000000.fits"
PIXELS = np.arange(200 * 300, dtype=np.float32).reshape(200, 300)

# Half of the file is on the disk when the process is killed.
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from services import image_store

def killed(path, *_):
    path.write_bytes(b"SIMPLE  =" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)

image_store.write_fits = killed
image_store.open_store(Path(sys.argv[1])).write(sys.argv[2], np.zeros((10, 10)), {}, {})
"""


def killed_attempt(root: Path, path: str) -> Path:
    """Kill an attempt in the middle of writing; returns what it left."""
    before = set(root.rglob("*.part"))
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root), path], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    [left] = set(root.rglob("*.part")) - before
    return left


def temporary_files(root: Path) -> list[Path]:
    return sorted((root / "calibrated" / "4" / TEMPORARY_FOLDER).iterdir())


def test_a_killed_attempt_leaves_no_half_file_and_the_next_removes_its_rest(tmp_path: Path) -> None:
    left, of_another = killed_attempt(tmp_path, PATH), killed_attempt(tmp_path, OTHER)
    assert not (tmp_path / PATH).exists()
    size = open_store(tmp_path).write(PATH, PIXELS, {}, {})
    assert not left.exists()
    assert temporary_files(tmp_path) == [of_another]
    assert (tmp_path / PATH).stat().st_size == size
    np.testing.assert_array_equal(fits.getdata(tmp_path / PATH), PIXELS)


def test_an_attempt_that_is_overtaken_fails_and_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still alive when the next one writes: it loses its temporary file, and the next one's stays whole."""
    store = open_store(tmp_path)
    write = image_store.write_fits

    def overtaken(path: Path, *contents: Any) -> None:
        monkeypatch.setattr(image_store, "write_fits", write)
        write(path, *contents)
        open_store(tmp_path).write(PATH, PIXELS, {}, {})

    monkeypatch.setattr(image_store, "write_fits", overtaken)
    with pytest.raises(TransientError, match="another attempt of the same process has taken over"):
        store.write(PATH, np.zeros((5, 5), np.float32), {}, {})
    np.testing.assert_array_equal(fits.getdata(tmp_path / PATH), PIXELS)
    assert temporary_files(tmp_path) == []


def test_a_file_that_was_written_before_is_replaced(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write(PATH, np.zeros((5, 5), np.float32), {}, {})
    store.write(PATH, PIXELS, {}, {"BUNIT": "adu"})
    np.testing.assert_array_equal(fits.getdata(tmp_path / PATH), PIXELS)
    assert sorted(file.name for file in (tmp_path / "calibrated" / "4").iterdir()) == [
        Path(PATH).name,
        TEMPORARY_FOLDER,
    ]
