"""How much an answer may take."""

from dataclasses import dataclass


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

    def wanted(self, maxrec: int | None) -> int:
        """Rows of an answer."""
        return min(self.rows if maxrec is None else maxrec, self.rows_most)
