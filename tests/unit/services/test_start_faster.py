"""A program that hurries looks for garbage seldom, and still finds it; images are freed without being looked for."""

import subprocess
import sys
from pathlib import Path

import pytest

LONG_RUN = """
import gc, weakref
from services.engine.embedded import GARBAGE_OBJECTS, start_faster
from services.engine.forked import keep_what_is_imported

class Cycle:
    def __init__(self):
        self.itself = self

start_faster()
imported = weakref.ref(Cycle())
kept = [Cycle() for _ in range(2 * GARBAGE_OBJECTS)]
assert imported() is not None, "garbage was looked for among imports"
keep_what_is_imported()
first = weakref.ref(Cycle())
kept = [Cycle() for _ in range(GARBAGE_OBJECTS // 10)]
assert first() is not None, "garbage was looked for too often"
kept += [Cycle() for _ in range(2 * GARBAGE_OBJECTS)]
assert first() is None, "garbage is never found"
assert imported() is not None, "what was imported was looked through"
"""

IMAGES = """
import gc, sys
from pathlib import Path
import numpy as np
from services.image_store import open_store

gc.disable()
store, table = open_store(Path(sys.argv[1])), np.zeros(5, [("x", "f8")])
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1])
image = np.ones((1000, 1000), np.float32)
for number in range(20):
    store.write("calibrated/1/1.fits", image, {"STARS": table}, {})
    stored = store.read_all("calibrated/1/1.fits", ("STARS",))
    if number == 5:
        settled = resident()
grown = (resident() - settled) * 4096 / image.nbytes
assert grown < 3, f"{grown:.1f} of 14 images are still there"
"""


@pytest.mark.parametrize("program", [LONG_RUN, IMAGES], ids=["cycles", "images"])
def test_garbage_does_not_pile_up(tmp_path: Path, program: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
