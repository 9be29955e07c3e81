"""What every tool is asked for: these frames, these stars, these circles. Read in environments without Tianyu."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RELATIVE, SECONDS = "relative.npy", "seconds.json"  # what a tool leaves in its folder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scope:
    """Frames in order of time, stars by their pixels of the first one."""

    lights: list[str]
    bias: list[str]
    dark: list[str]
    flat: list[str]
    xy: list[list[float]]  # from 0
    references: list[int]  # bright constant stars, of ``xy``
    radii: list[float]  # px
    annulus: list[float]  # px
    ra_dec: list[str]  # hh:mm:ss, +dd:mm:ss
    gain: float

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> "Scope":
        return cls(**json.loads(file.read_text()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of relative fluxes: star, frame, circle."""
        return len(self.xy), len(self.lights), len(self.radii)


@dataclass
class Steps:
    """CPU seconds by step, of this program and of those that it waited for."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start = cpu_seconds()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + cpu_seconds() - start


def cpu_seconds() -> float:
    """Until now."""
    return sum(os.times()[:4])


def leave(folder: Path, relative: Floats, steps: Steps) -> None:
    """Relative fluxes float64[star, frame, circle], NaN where not measured, and where the time went."""
    np.save(folder / RELATIVE, relative)
    (folder / SECONDS).write_text(json.dumps(steps.seconds))
