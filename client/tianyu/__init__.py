"""Tianyu from notebooks: `run` starts the program with the words of QLCP, `open` reads what it made."""

from tianyu.errors import NotFoundError, RunError, TianyuError
from tianyu.opening import open
from tianyu.results import Results
from tianyu.running import run

__all__ = ["NotFoundError", "Results", "RunError", "TianyuError", "open", "run"]
