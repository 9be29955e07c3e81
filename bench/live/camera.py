"""A camera that closes a file at each of its times, whatever becomes of the ones before."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path


class Camera:
    """Writes frames into a folder; ``closed`` is the Unix time at which each had its name, by name."""

    def __init__(self, frames: Sequence[Path], folder: Path, rate: float) -> None:
        self.thread = threading.Thread(target=self._work, daemon=True)
        self._frames, self._folder, self._period_s = frames, folder, 1.0 / rate
        self.closed: dict[str, float] = {}

    def _work(self) -> None:
        began = time.monotonic()
        for number, frame in enumerate(self._frames):
            time.sleep(max(began + number * self._period_s - time.monotonic(), 0.0))
            put([frame], self._folder)
            self.closed[frame.name] = time.time()

    @property
    def rate(self) -> float:
        """Frames a second, as they were written."""
        times = list(self.closed.values())
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0


def put(frames: Sequence[Path], folder: Path) -> None:
    """Write each under another name and rename it, as most programs do."""
    for frame in frames:
        part = folder / f"{frame.name}.part"
        part.write_bytes(frame.read_bytes())
        part.replace(folder / frame.name)
