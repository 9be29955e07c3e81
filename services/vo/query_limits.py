"""How much an answer may take."""

import os
from dataclasses import dataclass

from services.deployment import OWN_MACHINE


@dataclass(frozen=True)
class QueryLimits:
    """Of one service; who asks for more rows gets the most that there are, and is told that there were more."""

    rows: int = 20_000  # where MAXREC is not given
    rows_most: int = 1_000_000
    bytes_most: int = 1_000_000_000  # of an answer
    seconds: float = 60.0
    job_seconds: float = 600.0  # of an asynchronous job
    at_a_time: int = 4  # questions that are answered at once
    upload_rows: int = 20_000  # of all uploaded tables
    upload_bytes: int = 20_000_000
    jobs: int = 100  # that are kept
    jobs_at_a_time: int = 2
    job_upload_bytes: int = 200_000_000  # of uploaded tables of all jobs that have not ended, in memory
    job_result_bytes: int = 5_000_000_000  # of all results, on the disk
    job_kept_s: float = 86_400.0

    @classmethod
    def of_server(cls, host: str | None) -> "QueryLimits":
        """Of a database's server, whose time questions take from the engine's statements.

        One on this machine has as many at a time as half of the cores: a question can keep one busy all of its time.
        """
        is_here = host is None or host in OWN_MACHINE
        return cls(
            at_a_time=max(1, min(cls.at_a_time, len(os.sched_getaffinity(0)) // 2)) if is_here else 2, jobs_at_a_time=1
        )

    def wanted(self, maxrec: int | None) -> int:
        """Rows of an answer."""
        return min(self.rows if maxrec is None else maxrec, self.rows_most)
