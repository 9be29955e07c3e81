"""When each frame was measured and in the light curves, as the database's clock says it."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from services.engine.embedded import DATABASE_FILE

POLL_S = 0.5
UNIX = "(julianday({}) - 2440587.5) * 86400"
# Calibrations that have ended, and up to five of the stars that each goes by; and frames that were appended to them.
CALIBRATIONS = f"""
SELECT pid, {UNIX.format("finished_at")} FROM process
WHERE command = 'calibrate_relative' AND status = 'succeeded' AND observation_id = :observation
"""
APPENDED = f"""
SELECT l.image_id, {UNIX.format("p.finished_at")} FROM later_frame l JOIN process p ON p.pid = l.pid
WHERE p.observation_id = :observation
"""
STARS = "SELECT DISTINCT source_id FROM reference_star WHERE pid = :pid AND is_reference LIMIT 5"
IMAGES = "SELECT DISTINCT image_id FROM relative_flux WHERE source_id = :star AND pid = :pid"
OBSERVATION = "SELECT MAX(observation_id) FROM image WHERE kind = 'light'"
NAMES = """
SELECT c.image_id, c.pid, f.path FROM image c
JOIN image_parent p ON p.image_id = c.image_id JOIN image f ON f.image_id = p.parent_id AND f.kind = 'light'
WHERE c.kind = 'calibrated' AND c.observation_id = :observation
"""
STATES = """
SELECT command, status, COUNT(*) FROM process WHERE observation_id = :observation GROUP BY command, status
"""
SECONDS = """
SELECT p.command, COUNT(*), SUM(a.seconds), SUM(a.cpu_seconds) FROM process_attempt a JOIN process p ON p.pid = a.pid
WHERE p.observation_id = :observation AND a.outcome = 'succeeded' GROUP BY p.command ORDER BY 3 DESC
"""


class Observer:
    """Looks into the database of a working folder, again and again."""

    def __init__(self, workdir: Path) -> None:
        self._file = workdir / DATABASE_FILE
        self._seen: set[int] = set()  # calibrations
        self._shown: dict[int, float] = {}  # Unix time of an image's first light curve, by its id
        self._known = int(self.ask(OBSERVATION)[0][0])  # the night by which the sky is known
        self.observation = 0  # the live one, from when it is registered

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query about the live observation."""
        if ":observation" in query:
            values.setdefault("observation", self.observation)
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, {k: v for k, v in values.items() if f":{k}" in query}).fetchall()

    def look(self) -> None:
        """Take in what calibrations have ended since the last look."""
        newest = int(self.ask(OBSERVATION)[0][0])
        if newest == self._known:
            return
        self.observation = newest
        for pid, ended in sorted(self.ask(CALIBRATIONS), key=lambda row: row[1]):
            if pid in self._seen:
                continue
            self._seen.add(pid)
            for (star,) in self.ask(STARS, pid=pid):
                for (image,) in self.ask(IMAGES, star=star, pid=pid):
                    self._shown.setdefault(image, ended)
        for image, ended in self.ask(APPENDED):
            self._shown[image] = min(ended, self._shown.get(image, ended))

    def follow(self, until: Callable[[], bool]) -> None:
        """Look until then."""
        while not until():
            self.look()
            time.sleep(POLL_S)
        self.look()

    def count(self, command: str, *statuses: str) -> int:
        """How many processes of a command are in one of these states."""
        return sum(number for name, status, number in self.ask(STATES) if name == command and status in statuses)

    @property
    def unfinished(self) -> int:
        """Processes of the live observation that have not ended."""
        return sum(number for _, status, number in self.ask(STATES) if status in ("waiting", "queued", "running"))

    @property
    def shown(self) -> dict[str, float]:
        """Unix time of the first light curve that has it, by the name of a frame."""
        return {Path(path).name: self._shown[i] for i, _, path in self.ask(NAMES) if i in self._shown}
