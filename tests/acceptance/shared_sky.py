"""One field seen by two telescopes through two filters on two nights, simulated and reduced into one database."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from astropy.table import Table, unique, vstack
from numpy.typing import NDArray

from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.optics import on_first
from pipeline.trials.simulation.truth import Truth
from services.trials.simulate import night_spec, simulate

Floats = NDArray[np.float64]
Options = Mapping[str, Any]

SKY: Options = MappingProxyType(
    {
        "sky_seed": 101,
        # No blends, and no faint stars that only the sky annulus may hold: magnitudes to a few millimagnitudes.
        "sky_density": 4000.0,
        "sky_separation_arcsec": 10.0,
        "sky_faintest_mag": 17.5,
        "shape": (400, 400),
        "n_frames": 13,
        "n_bias": 3,
        "n_dark": 3,
        "n_flat": 3,
        "n_trails": 0,
        "n_smeared": 0,
        "cloudy_fraction": 0.0,
        "seeing": 2.6,
        "drift": (14.0, -9.0),
    }
)
# Other scale, orientation, parity and exposure; the wide one distorts its corners by 1.1 pixels, and points badly.
TELESCOPES: Mapping[str, Options] = MappingProxyType(
    {
        "NARROW": {"pixel_scale": 1.0, "position_angle_deg": 3.0, "exposure_s": 40.0, "rotation_deg": 0.3},
        "WIDE": {
            "pixel_scale": 1.35,
            "position_angle_deg": 217.0,
            "mirrored": True,
            "distortion": 0.004,
            "exposure_s": 30.0,
            "zero_point": 22.3,
            "pointing_error_deg": (0.02, -0.03),
            "scale_error": 0.01,
        },
    }
)
FILTERS: Mapping[str, Options] = MappingProxyType({"R": {"colour_term": -0.12}, "B": {"colour_term": 0.2}})
NIGHTS_JD = (2460622.10, 2460640.06)


@dataclass(frozen=True)
class Seen:
    """One observation: its truth, and what the database has of it."""

    truth: Truth
    observation: int
    graph: int
    reference: int  # frame of the truth whose pixels are the template's

    @property
    def name(self) -> str:
        spec = self.truth.spec
        return f"{spec.telescope} {spec.filter_name} {spec.start_jd:.0f}"

    def on_template(self) -> Floats:
        """Positions [star, (x, y)] of all true stars on the template."""
        return np.column_stack(self.truth.positions(self.reference))

    def to_first(self, xy: Floats) -> Floats:
        """Positions on the truth's first frame of positions on the template."""
        return np.column_stack(on_first(*xy.T, self.truth.frames, self.reference, self.truth.spec))

    def inside(self, margin: float) -> NDArray[np.bool_]:
        """Stars this far from the border on every frame, pixels."""
        ny, nx = self.truth.spec.shape
        found = np.ones(self.truth.stars.id.size, dtype=bool)
        for i in range(self.truth.spec.n_frames):
            x, y = self.truth.positions(i)
            found &= (np.minimum(x, nx - 1 - x) > margin) & (np.minimum(y, ny - 1 - y) > margin)
        return found


def specs() -> Iterator[tuple[str, NightSpec]]:
    """The eight nights by the name of their folder; a camera is the same in both filters and on both nights."""
    for night, start_jd in enumerate(NIGHTS_JD):
        for camera, (telescope, optics) in enumerate(TELESCOPES.items()):
            for number, (band, response) in enumerate(FILTERS.items()):
                changes = {**SKY, **optics, **response, "filter_name": band, "telescope": telescope}
                changes |= {"cadence_s": changes["exposure_s"] + 8.0, "camera_seed": camera}
                changes |= {"start_jd": start_jd + 0.012 * number, "seed": 100 * night + 10 * camera + number}
                if number:
                    # One set of calibration frames a night is enough, and of the same name.
                    changes |= {"n_bias": 0, "n_dark": 0}
                yield f"night{night + 1}/{telescope}-{band}", night_spec("demo", **changes)


def simulate_all(folder: Path) -> dict[str, Truth]:
    """Write all nights and, as `gaia.csv`, the catalogue of what any of them sees; returns their truths."""
    from services.trials.simulate import read_truth

    truths = {name: read_truth(simulate(spec, folder / name)) for name, spec in specs()}
    tables = [Table.read(folder / name / "truth" / "gaia.csv", format="csv") for name in truths]
    unique(vstack(tables), keys="source_id").write(folder / "gaia.csv", format="csv")
    return truths


def find_observations(database: Path, truths: Mapping[str, Truth]) -> list[Seen]:
    """The observation of each truth."""
    query = """
    SELECT o.observation_id, o.graph_pid, MIN(i.jd_utc), MAX(CASE WHEN i.is_reference = 1 THEN i.jd_utc END)
    FROM observation o
    JOIN instrument USING (instrument_id)
    JOIN frame i ON i.observation_id = o.observation_id AND i.image_id IS NOT NULL
    WHERE telescope = ? AND i.filter = ? GROUP BY o.observation_id
    """
    found = []
    with sqlite3.connect(database) as connection:
        for truth in truths.values():
            spec, jd = truth.spec, truth.frames.jd_mid
            for observation, graph, first, reference in connection.execute(query, (spec.telescope, spec.filter_name)):
                if abs(first - jd[0]) < 0.1:
                    found.append(Seen(truth, observation, graph, int(np.argmin(np.abs(jd - reference)))))
    return found
