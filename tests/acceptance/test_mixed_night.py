"""Three targets in two filters and two exposures, with strays, a focus run and broken files, by one command."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.trials.simulation.night_spec import NightSpec
from services.trials.simulate import night_spec, simulate
from tests.acceptance.programs import Programs

TARGETS = {"HAT-P-1": 350.0, "WASP-10": 5.0, "TrES-3": 20.0}  # their right ascensions, degrees
FILTERS, EXPOSURES_S = ("R", "V"), (20.0, 60.0)
FRAMES = 9  # of each
FOCUS_FWHM_ARCSEC = (9.0, 7.0, 5.5, 7.5, 9.5)
OVERSCAN_PX, LEVEL_RMS_ADU = 16, 25.0
NIGHT_JD, SLOT_DAYS = 2460622.10, 0.008
BROKEN = {
    "empty.fits": b"",
    "words.fits": b"these are no frames" * 400,
    "zip.fits": b"PK\x03\x04" + bytes(4000),
}
RATIOS = """
SELECT s.standard_deviation / s.expected_scatter FROM light_curve_statistics s
JOIN observation o ON o.observation_id = s.observation_id AND o.calibration_pid = s.calibration_pid
WHERE s.observation_id = ? AND s.best_aperture = 1 AND s.expected_scatter > 0 AND s.epochs = ?
ORDER BY s.flux_median DESC LIMIT 40
"""
SHARED = 0.9  # of the stars of the exposure that shows fewer
FLOOR = (0.85, 1.15)  # of all stars of all observations, their median; each has the scatter of nine points


@dataclass(frozen=True)
class Mixed:
    """What the command said, where its results are, and what `tianyu status` tells of them."""

    returncode: int
    output: str
    work: Path
    files: int
    status: dict[str, Any]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Observations of one kind of frames, as `tianyu status` has them."""
        return [one for one in self.status["observations"] if one["kind"] == kind]

    def wanted(self) -> list[dict[str, Any]]:
        """Those of the sky that are no strays."""
        return [one for one in self.of("light") if one["frames"] > 1]


def write_night(folder: Path, raw: Path) -> None:
    """All frames in one folder, in the order in which they were taken."""
    slot = 0
    for sky, (target, ra) in enumerate(TARGETS.items()):
        for band in FILTERS:
            for exposure in EXPOSURES_S:
                first_of_band = target == "HAT-P-1" and exposure == EXPOSURES_S[0]
                made = _simulate(
                    folder / f"{slot}",
                    target=target,
                    ra_deg=ra,
                    sky_seed=sky,
                    filter_name=band,
                    exposure_s=exposure,
                    cadence_s=exposure + 10.0,
                    start_jd=NIGHT_JD + slot * SLOT_DAYS,
                    n_bias=5 * (slot == 0),
                    n_dark=5 * (target == "HAT-P-1" and band == FILTERS[0]),
                    n_flat=5 * first_of_band,
                    seed=100 + slot,
                )
                _copy(made, raw, f"{slot:02d}")
                slot += 1
    for number, fwhm in enumerate(FOCUS_FWHM_ARCSEC):
        made = _simulate(
            folder / f"focus{number}",
            target="WASP-10",
            ra_deg=TARGETS["WASP-10"],
            sky_seed=1,
            filter_name="R",
            exposure_s=EXPOSURES_S[0],
            start_jd=NIGHT_JD + (slot + 0.1 * number) * SLOT_DAYS,
            n_frames=1,
            seeing=fwhm,
            seed=200 + number,
        )
        _copy(made, raw, f"focus{number}")


def _simulate(folder: Path, **options: Any) -> Path:
    quiet = {"n_trails": 0, "n_smeared": 0, "cloudy_fraction": 0.0, "n_flares": 0, "n_binaries": 0, "n_pulsators": 0}
    plain = {"shape": (200, 200), "n_frames": FRAMES, "drift": (3.0, -2.0), "n_transits": 0}
    field = {"sky_density": 30_000.0, "sky_separation_arcsec": 9.0, "sky_faintest_mag": 16.5}
    without = {"n_bias": 0, "n_dark": 0, "n_flat": 0}
    return simulate(night_spec("demo", **{**quiet, **plain, **field, **without, "camera_seed": 7, **options}), folder)


def _copy(made: Path, raw: Path, prefix: str) -> None:
    """As a camera with overscan writes them, whose level wanders from frame to frame."""
    for path in sorted(made.glob("*.fits")):
        rng = np.random.default_rng(list(f"{prefix}{path.name}".encode()))
        with fits.open(path) as hdus:
            data, header = hdus[0].data, hdus[0].header
        ny, nx = data.shape
        spec = NightSpec()
        overscan = rng.normal(spec.bias_level, spec.read_noise / spec.gain, (ny, OVERSCAN_PX))
        wandered = np.hstack([data, np.round(overscan)]) + np.round(rng.normal(0.0, LEVEL_RMS_ADU))
        header["BIASSEC"], header["TRIMSEC"] = f"[{nx + 1}:{nx + OVERSCAN_PX},1:{ny}]", f"[1:{nx},1:{ny}]"
        fits.writeto(raw / f"{prefix}_{path.name}", np.clip(wandered, 0, 65535).astype(np.uint16), header)


def write_strays(raw: Path) -> None:
    """Single frames that belong to nothing else."""
    some = min(raw.glob("05_*.fits"))
    strays = (
        {"OBJECT": "Jupiter", "EXPTIME": 0.01},
        {"OBJECT": "test", "EXPTIME": 1.0},
        {"OBJECT": "M31", "RA": 10.68, "DEC": 41.27},
        {"INSTRUME": "GUIDER"},
        {"FILTER": "Ha"},
    )
    for number, cards in enumerate(strays):
        with fits.open(some) as hdus:
            hdus[0].header.update(cards)
            hdus[0].header["DATE-OBS"] = f"2024-11-07T19:{number:02d}:30"
            hdus.writeto(raw / f"stray{number}.fits")


def write_broken(raw: Path) -> None:
    """Files that are no whole frames."""
    whole = min(raw.glob("03_*.fits")).read_bytes()
    for name, content in (BROKEN | {"half.fits": whole[: len(whole) // 2], "header.fits": whole[:2880]}).items():
        (raw / name).write_bytes(content)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    folder = tmp_path_factory.mktemp("mixed")
    raw = folder / "raw"
    raw.mkdir()
    write_night(folder, raw)
    write_strays(raw)
    write_broken(raw)
    work = folder / "work"
    done = Programs({}, folder).run("run", str(raw), "--workdir", str(work), "--no-plots", check=False)
    there = {"TIANYU_DATABASE_URL": f"sqlite:///{work / 'tianyu.db'}", "TIANYU_BROKER_URL": "local://"}
    told = Programs({**there, "TIANYU_ROOT": str(work)}, folder).run("status", "--json")
    return Mixed(done.returncode, done.stdout + done.stderr, work, len(list(raw.iterdir())), json.loads(told.stdout))


def test_short_observations_do_not_make_it_a_failure(mixed: Mixed) -> None:
    assert mixed.returncode == 0, mixed.output
    assert "it has one frame: a light curve needs several" in mixed.output


def test_each_target_filter_and_exposure_is_one_observation(mixed: Mixed) -> None:
    found = sorted((one["target"], one["filter"], one["exposure_s"]) for one in mixed.wanted())
    assert found == sorted(
        (target, band, exposure) for target in TARGETS for band in FILTERS for exposure in EXPOSURES_S
    )
    assert [one["exposure_s"] for one in mixed.of("dark")] == list(EXPOSURES_S)
    assert sorted(one["filter"] for one in mixed.of("flat")) == sorted(FILTERS)
    assert len(mixed.of("bias")) == 1


def test_every_file_is_accounted_for(mixed: Mixed) -> None:
    assert len(mixed.status["unread"]) == len(BROKEN) + 2
    assert sum(one["frames"] for one in mixed.status["observations"]) == mixed.files - len(mixed.status["unread"])
    strays = [one for one in mixed.of("light") if one["frames"] == 1]
    assert sorted((one["target"], one["filter"]) for one in strays) == [
        ("Jupiter", "R"),
        ("M31", "R"),
        ("WASP-10", "Ha"),
        ("WASP-10", "R"),
        ("test", "R"),
    ]


def test_the_focus_run_is_left_out_of_its_targets_light_curve(mixed: Mixed) -> None:
    rejected = {(one["target"], one["filter"], one["exposure_s"]): one["frames_rejected"] for one in mixed.wanted()}
    of_focus = rejected.pop(("WASP-10", "R", EXPOSURES_S[0]))
    assert of_focus == len(FOCUS_FWHM_ARCSEC)
    assert sum(rejected.values()) == 0


def test_each_is_read_by_its_overscan(mixed: Mixed) -> None:
    assert {one["geometry"] for one in mixed.status["observations"]} == {"trim 1:200,1:200, overscan"}


def test_all_are_measured_to_the_floor(mixed: Mixed) -> None:
    ratios: list[float] = []
    with closing(sqlite3.connect(mixed.work / "tianyu.db")) as connection:
        for one in mixed.wanted():
            found = connection.execute(RATIOS, (one["observation_id"], FRAMES)).fetchall()
            assert len(found) >= 30, one["observation_id"]
            ratios += [ratio for (ratio,) in found]
    assert FLOOR[0] < np.median(ratios) < FLOOR[1]


def test_exposures_of_a_target_share_their_stars(mixed: Mixed) -> None:
    with closing(sqlite3.connect(mixed.work / "tianyu.db")) as connection:

        def stars(observation: int) -> set[int]:
            query = "SELECT DISTINCT source_id FROM light_curve WHERE observation_id = ? AND usable"
            return {star for (star,) in connection.execute(query, (observation,))}

        for target in TARGETS:
            for band in FILTERS:
                found = [
                    stars(one["observation_id"])
                    for one in mixed.wanted()
                    if (one["target"], one["filter"]) == (target, band)
                ]
                assert len(found) == len(EXPOSURES_S)
                assert len(found[0] & found[1]) > SHARED * min(map(len, found))


def test_a_line_is_printed_for_each_and_one_for_all_that_lack_masters(mixed: Mixed) -> None:
    lines = mixed.output.splitlines()
    for one in mixed.of("light"):
        of_one = [line for line in lines if line.split()[:1] == [str(one["observation_id"])]]
        assert len(of_one) == 1
        assert one["target"] in of_one[0]
    lacking = [line for line in lines if "going on without" in line]
    assert len(lacking) == 2  # the guider's camera, and the filter that has no flat
    assert "no bias, dark, flat frames of the same camera" in "".join(lacking)
