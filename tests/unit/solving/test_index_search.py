"""The search in a process of its own: it is ended in time, its death is told, and nothing disturbs its answer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from services.sky.solving import index_solver
from services.sky.solving.index_files import IndexFile
from services.sky.solving.index_search import GRACE_S
from services.sky.solving.index_solver import OutOfTime, Question, SearchFailed, search_indexes

QUESTION = Question([IndexFile(Path("/nowhere/a.fits"), 0.3, 0.5, None)], (1.0, 2.0), (31.0, 46.0, 3.0))
XY = np.random.default_rng(1).uniform(0, 500, (150, 2))

# Stands for the library, which talks where an answer should go: it notes the question, and answers with two stars.
LIBRARY = """
import dataclasses, enum, json, os, pathlib, resource

class Action(enum.IntEnum):
    STOP, CONTINUE = 0, 1

def batches_generator(size):
    return lambda count: [(0, size)]

def SizeHint(*scale):
    return list(scale)

def PositionHint(*place):
    return list(place)

@dataclasses.dataclass
class SolutionParameters:
    slices_generator: object
    positional_noise_pixels: float
    output_logodds_threshold: float
    logodds_callback: object

@dataclasses.dataclass
class Star:
    ra_deg: float
    dec_deg: float
    metadata: dict

class Match:
    logodds, index_path = 99.0, pathlib.Path("/nowhere/a.fits")
    wcs_fields = {"CTYPE1": ("RA---TAN", "comment"), "CRPIX1": (12.5, "comment")}
    stars = (Star(31.0, 46.0, {"MAG_VT": 9.5}), Star(31.5, 46.5, {"other": 1.0}))

class Found:
    def has_match(self):
        return True

    def best_match(self):
        return Match

class Solver:
    def __init__(self, files):
        self.files = files

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print("the library says goodbye")

    def solve(self, stars, scale, place, parameters):
        os.write(1, b"the library talks\\n")
        asked = {"stars": stars, "scale": scale, "place": place, "files": [str(file) for file in self.files],
                 "cpu": resource.getrlimit(resource.RLIMIT_CPU)}
        pathlib.Path(os.environ["ASKED"]).write_text(json.dumps(asked))
        return Found()
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that the process of the search finds first."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return folder


def test_question_and_answer(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code / "astrometry.py").write_text(LIBRARY)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked.json"))
    found = search_indexes(QUESTION, XY, 7.0)
    asked = json.loads((tmp_path / "asked.json").read_text())
    np.testing.assert_allclose(asked["stars"], XY[:100] + 1.0, err_msg="FITS counts from one", rtol=0, atol=1e-9)
    assert (asked["scale"], asked["place"]) == ([1.0, 2.0], [31.0, 46.0, 3.0])
    assert asked["files"] == ["/nowhere/a.fits"]
    assert asked["cpu"] == [7 + GRACE_S, 8 + GRACE_S], "an orphan ends too"
    assert found is not None
    assert found.cards == {"CTYPE1": "RA---TAN", "CRPIX1": 12.5}
    np.testing.assert_array_equal(found.radec, [[31.0, 46.0], [31.5, 46.5]])
    np.testing.assert_array_equal(found.mag, [9.5, np.nan])
    assert (found.index, found.log_odds) == ("a.fits", 99.0)


def test_no_match_is_no_error(code: Path) -> None:
    (code / "nothing.py").write_text("print('null')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_solver, "MODULE", "nothing")
        assert search_indexes(QUESTION, XY, 60.0) is None


def test_a_search_is_killed_at_its_limit(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not listen to SIGTERM, as C code does not to Python's signals."""
    pid_file = tmp_path / "pid"
    (code / "stubborn.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(index_solver, "MODULE", "stubborn")
    with pytest.raises(OutOfTime, match=r"no match within 0\.75 s"):
        search_indexes(QUESTION, XY, 0.75)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


@pytest.mark.parametrize(
    ("code_of_it", "words"),
    [
        ("import os; os.abort()", "status -6: nothing was said"),
        ("raise RuntimeError('file a.fits is damaged')", "status 1: RuntimeError: file a.fits is damaged"),
    ],
)
def test_a_search_that_dies_says_how(code: Path, monkeypatch: pytest.MonkeyPatch, code_of_it: str, words: str) -> None:
    (code / "dying.py").write_text(code_of_it)
    monkeypatch.setattr(index_solver, "MODULE", "dying")
    with pytest.raises(SearchFailed, match=words):
        search_indexes(QUESTION, XY, 60.0)


def test_an_orphan_ends_by_its_cpu_time(code: Path) -> None:
    """Whoever asked is gone: nobody kills it, and it computes for ever."""
    (code / "astrometry.py").write_text("while True:\n    pass\n")
    question = {"files": [], "stars": [[1.0, 1.0]], "scale": [1.0, 2.0], "place": None, "seconds": 1.0 - GRACE_S}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "services.sky.solving.index_search"],
        input=json.dumps(question),
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGXCPU, f"after {time.monotonic() - began:.1f} s"


def test_a_search_is_given_processor_time(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the time on the wall goes to others."""
    (code / "late.py").write_text("import time; time.sleep(1.5); print('null')")
    monkeypatch.setattr(index_solver, "MODULE", "late")
    assert search_indexes(QUESTION, XY, 1.0) is None
    (code / "spent.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)")
    monkeypatch.setattr(index_solver, "MODULE", "spent")
    with pytest.raises(OutOfTime):
        search_indexes(QUESTION, XY, 60.0)
