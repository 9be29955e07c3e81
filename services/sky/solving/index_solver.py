"""The search among index files as the rest sees it: a question and a time limit; a match, none, or what went wrong."""

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.sky.solving.index_files import IndexFile

PACKAGE = "astrometry"  # on PyPI, Astrometry.net's library
MODULE = "services.sky.solving.index_search"
PATIENCE = 4.0  # times as long on the wall as on the processor
STARS = 100  # brightest ones that are given: four batches of patterns


class SearchFailed(Exception):  # noqa: N818  a result, which the next try or the reason takes up
    """A search ended without an answer; the message says how."""


class OutOfTime(SearchFailed):
    """It took longer than it was given; more time may help."""


@dataclass(frozen=True)
class Question:
    """Where to look. scale_arcsec: least and greatest; place: (ra, dec, radius), degrees, or None: the whole sky."""

    files: Sequence[IndexFile]
    scale_arcsec: tuple[float, float]
    place: tuple[float, float, float] | None
    patient: bool = False  # other work of the machine comes first


@dataclass(frozen=True)
class IndexMatch:
    """A first WCS, and the index's own stars in the field: radec float64[n, 2], J2000; mag float64[n], NaN unknown."""

    cards: Mapping[str, str | float | int]
    radec: NDArray[np.float64]
    mag: NDArray[np.float64]
    index: str
    log_odds: float
    seconds: float


def installed() -> bool:
    """Is the library there? It is the extra ``solve`` of this distribution."""
    return importlib.util.find_spec(PACKAGE) is not None


def search_indexes(question: Question, xy: NDArray[np.float64], time_limit_s: float) -> IndexMatch | None:
    """Search for stars at xy: float64[n, 2], 0-based pixels, brightest first; None: there is no match.

    The limit is of processor time, and four times as much on the wall: what is found does not depend on what else the
    machine does, as long as it is not stuck.

    Raises:
        OutOfTime: it took longer than the limit and was ended.
        SearchFailed: it died.
    """
    text = json.dumps(
        {
            "files": [str(file.path) for file in question.files],
            "stars": xy[:STARS].tolist(),
            "scale": question.scale_arcsec,
            "place": question.place,
            "seconds": time_limit_s,
            "patient": question.patient,
        }
    )
    began = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, and a list of arguments; the question is JSON
            [sys.executable, "-m", MODULE],
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE * time_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfTime(f"no match within {time_limit_s:.3g} s") from error
    if done.returncode == -signal.SIGXCPU:
        raise OutOfTime(f"no match within {time_limit_s:.3g} s")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise SearchFailed(f"the search ended with status {done.returncode}: {last}")
    answer = json.loads(done.stdout)
    if answer is None:
        return None
    stars = np.array(answer["stars"], dtype=np.float64).reshape(-1, 3)  # null becomes NaN
    return IndexMatch(
        answer["cards"], stars[:, :2], stars[:, 2], answer["index"], answer["log_odds"], time.monotonic() - began
    )
