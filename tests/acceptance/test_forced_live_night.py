"""Places of the settings in a night that is watched: measured as the night grows, and at its end as one at once has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance.programs import Programs
from tests.acceptance.test_forced_nights import APERTURES, SPEC
from tests.acceptance.test_live_night import (
    CALIBRATION,
    FAILED,
    FIRST,
    KINDS,
    TIMEOUT_S,
    UNFINISHED,
    Folder,
    number,
    until,
)
from tests.integration.small_night import Night

FRAMES = 9
BESIDE_DEG = 0.005
MEASURED = "SELECT COUNT(DISTINCT image_id) FROM forced_light_curve WHERE flux_forced IS NOT NULL"
FLUXES = """
SELECT f.target, p.path, f.aperture, f.flag, f.usable, f.flux_raw, f.flux_raw_error, f.flux_forced, f.flux_forced_error
FROM forced_light_curve f
JOIN image_parent ip ON ip.image_id = f.image_id
JOIN image p ON p.image_id = ip.parent_id AND p.kind = 'light'
"""


def fluxes(night: Night) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Points by place, frame and aperture; and their numbers."""
    rows = sorted(night.rows(FLUXES))
    return [row[:5] for row in rows], np.array([row[5:] for row in rows], dtype=np.float64)


def test_places_are_measured_while_a_night_grows_and_at_its_end(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    whole = simulate(night_spec("demo", **SPEC | {"n_frames": FRAMES}), tmp_path / "whole")
    truth = read_truth(whole)
    x, y = truth.positions(0)
    middle = int(np.argmin(np.hypot(x - truth.spec.shape[1] / 2, y - truth.spec.shape[0] / 2)))
    ra, dec = truth.stars.ra[middle], truth.stars.dec[middle]
    places = (f"there={ra:.8f}d,{dec:.8f}d", f"beside={ra:.8f}d,{dec + BESIDE_DEG:.8f}d")
    catalogue = whole / "truth" / "gaia.csv"
    environment = {
        "TIANYU_APERTURE_RADII": json.dumps(APERTURES["aperture_radii"]),
        "TIANYU_CATALOG_FILE": str(catalogue),
        "TIANYU_FORCED_PLACES": json.dumps(places),
    }
    programs = Programs(environment, tmp_path)
    request.addfinalizer(programs.stop)
    frames = sorted(whole.glob("*.fits"), key=lambda path: (KINDS.index(path.name[:4]), path.name))
    raw, workdir = Folder(tmp_path / "raw", frames), tmp_path / "work"
    command = ("watch", str(raw.path), "--workdir", str(workdir), "--first", str(FIRST), "--finish")

    watching = programs.start(*command)
    raw.put(CALIBRATION + FIRST)
    until(lambda: number(workdir, MEASURED) >= FIRST - 1 and not number(workdir, UNFINISHED), watching)
    raw.put(len(frames))
    until(lambda: number(workdir, MEASURED) == FRAMES and not number(workdir, UNFINISHED), watching)
    watching.terminate()
    assert watching.wait(TIMEOUT_S) == 0
    assert number(workdir, FAILED) == 0

    live = Night.open(workdir)
    at_once = Night.open(tmp_path / "at_once", catalog_file=catalogue, forced_places=places, **APERTURES)
    at_once.publish(raw.path)
    at_once.work()
    (found, numbers), (expected, others) = fluxes(live), fluxes(at_once)
    assert found == expected
    assert {row[0] for row in found} == {"there", "beside"}
    assert len(found) == 2 * FRAMES * len(APERTURES["aperture_radii"])
    np.testing.assert_allclose(numbers, others, rtol=1e-6)
