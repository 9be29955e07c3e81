"""Two nights that share 40 % of their fields, the second one turned, in both orders: each star is one source."""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table, unique, vstack
from scipy.spatial import KDTree

from pipeline.trials.simulation.truth import Truth
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.own_process import reduce

NIGHT: dict[str, Any] = {
    "sky_seed": 31,
    "sky_density": 9000.0,
    "sky_separation_arcsec": 10.0,
    "sky_faintest_mag": 17.5,
    "shape": (256, 256),
    "n_frames": 5,
    "n_bias": 0,
    "n_dark": 0,
    "n_flat": 0,
    "n_trails": 0,
    "n_smeared": 0,
    "cloudy_fraction": 0.0,
    "pixel_scale": 1.3,
    "seeing": 3.2,
    "drift": (24.0, -16.0),  # the template's pixels are not those of the first frame
}
APART_PX = 150.0  # of the two nights' middles
BRIGHT_MAG = 15.0  # G
MATCH_PX = 1.5
MARGIN_PX = 10.0
PLACES = "SELECT source_id, x, y FROM source_place WHERE observation_id = ?"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Truth]]:
    folder = tmp_path_factory.mktemp("overlap")
    turned = {
        "ra_deg": 5.0 + APART_PX * 1.3 / 3600 / np.cos(np.radians(35.0)),
        "position_angle_deg": 40.0,
        "start_jd": 2460640.06,
        "seed": 2,
    }
    specs = {"first": night_spec("demo", **NIGHT), "second": night_spec("demo", **NIGHT | turned)}
    truths = {name: read_truth(simulate(spec, folder / name)) for name, spec in specs.items()}
    tables = [Table.read(folder / name / "truth" / "gaia.csv", format="csv") for name in truths]
    unique(vstack(tables), keys="source_id").write(folder / "gaia.csv", format="csv")
    return folder, truths


def bright_places(truth: Truth) -> dict[int, np.ndarray]:
    """Pixels on the first frame of the bright stars that all frames show, by their names in Gaia."""
    ny, nx = truth.spec.shape
    stars = truth.stars
    inside = stars.g_mag < BRIGHT_MAG
    for frame in range(truth.spec.n_frames):
        x, y = truth.positions(frame)
        inside &= (np.minimum(x, nx - 1 - x) > MARGIN_PX) & (np.minimum(y, ny - 1 - y) > MARGIN_PX)
    first = np.column_stack(truth.positions(0))
    return {int(stars.gaia_source_id[k]): first[k] for k in np.flatnonzero(inside)}


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_each_star_is_one_source_with_its_own_pixels(
    nights: tuple[Path, dict[str, Truth]], tmp_path: Path, order: tuple[str, str]
) -> None:
    folder, truths = nights
    work = tmp_path / "work"
    for name in order:
        reduce(folder / name, work, catalog_file=folder / "gaia.csv")
    ids: dict[int, set[int]] = defaultdict(set)
    with sqlite3.connect(work / "tianyu.db") as database:
        for number, name in enumerate(order, 1):
            source_ids, x, y = zip(*database.execute(PLACES, (number,)), strict=True)
            tree = KDTree(np.column_stack([x, y]))  # type: ignore[no-untyped-call]
            for star, place in bright_places(truths[name]).items():
                distance, row = tree.query(place)  # type: ignore[no-untyped-call]
                assert distance < MATCH_PX, f"star {star} of the {name} night"
                ids[star].add(source_ids[row])
    both = set(bright_places(truths["first"])) & set(bright_places(truths["second"]))
    assert len(both) > 5
    assert all(len(found) == 1 for found in ids.values())
    assert len(set.union(*ids.values())) == len(ids)
