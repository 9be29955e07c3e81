"""A small simulated field before the telescope of the tests: each exposure gives the next of its night's frames."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.truth import make_truth
from services.trials.simulate import night_spec
from services.trials.simulate.simulated_frames import frames_of
from tests.alpaca.simulator import Exposure, Observatory, serving

SHAPE = (120, 136)  # no square: what has its axes changed is seen
LIGHTS = 7
KINDS = ("bias", "dark", "flat", "light")
SPEED = 400.0
SPEC: dict[str, Any] = {
    "n_frames": LIGHTS,
    "shape": SHAPE,
    "n_stars": 20,
    "n_bias": 3,
    "n_dark": 3,
    "n_flat": 3,
    "drift": (4.0, -3.0),
    "seed": 5,
    "filter_name": "R",
}


@dataclass
class Sky:
    """Frames of the night by kind, as they come; the same again when all have been taken."""

    spec: NightSpec
    frames: dict[str, list[NDArray[np.uint16]]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def simulated(cls) -> "Sky":
        spec = night_spec("demo", **SPEC)
        sky = cls(spec)
        for frame in frames_of(make_truth(spec), make_detector(spec, spec.generator(Stream.DETECTOR))):
            sky.frames[frame.name.split("_")[0]].append(frame.render())
        return sky

    def __call__(self, exposure: Exposure) -> NDArray[np.uint16]:
        kind = self.kind_of(exposure)
        frames = self.frames[kind]
        self.taken[kind] += 1
        return frames[(self.taken[kind] - 1) % len(frames)]

    def kind_of(self, exposure: Exposure) -> str:
        if not exposure.light:
            return "bias" if exposure.seconds < 0.01 else "dark"
        return "flat" if exposure.seconds == self.spec.flat_exposure_s else self.spec.target

    def plan(self, *, lights: int = LIGHTS, kinds: tuple[str, ...] = KINDS, more: str = "") -> str:
        """The text of a plan of the whole night, or of some kinds of frames."""
        spec = self.spec
        seconds = {"bias": 0.0, "dark": spec.exposure_s, "flat": spec.flat_exposure_s, "light": spec.exposure_s}
        text = f'target = "{spec.target}"\nradec = "{spec.ra_deg}d,{spec.dec_deg}d"\n{more}\n'
        for kind in kinds:
            lines = [
                "[[exposures]]",
                f'kind = "{kind}"',
                f"exposure_s = {seconds[kind]}",
                f"count = {lights if kind == 'light' else 3}",
                "gain = 120",
                'filter = "R"' if kind in ("light", "flat") else "",
            ]
            text += "\n".join(lines) + "\n"
        return text


def where_it_is_midnight() -> float:
    """Longitude, degrees east: no test observes at noon, when a night ends, whenever it runs."""
    now = datetime.now(UTC)
    west = 15.0 * (now.hour + now.minute / 60.0)
    return round(-west if west <= 180.0 else 360.0 - west, 1)


def devices(server: str, spec: NightSpec) -> dict[str, Any]:
    """The table [telescope] of the settings."""
    return {
        "camera": f"{server}/0",
        "mount": f"{server}/0",
        "filter_wheel": f"{server}/0",
        "instrument": "simulated camera",
        "name": "T1",
        "latitude_deg": spec.latitude_deg,
        "longitude_deg": where_it_is_midnight(),
        "elevation_m": spec.elevation_m,
        "pixel_scale_arcsec": spec.pixel_scale,
        "settle_s": 0.0,
    }


@contextmanager
def observatory(sky: Sky, **changes: Any) -> Iterator[tuple[Observatory, dict[str, Any]]]:
    """The telescope's devices, and the settings that name them."""
    telescope = Observatory(sky, SHAPE, **{"speed": SPEED, **changes})
    with serving(telescope) as server:
        yield telescope, devices(server, sky.spec)


def write_plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text)
    return path
