"""Signals put into a simulated night's raw frames come out again, as strong as they went in; weak ones do not."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from services.trials.simulate import night_spec, simulate
from tests.acceptance.measured_night import read_night
from tests.acceptance.own_process import reduce
from tests.acceptance.programs import Programs
from tests.integration import json_keys

NIGHT: dict[str, Any] = {
    "shape": (420, 420),
    "n_stars": 220,
    "mag_max": 14.5,
    "n_frames": 26,
    "n_bias": 3,
    "n_dark": 3,
    "n_flat": 3,
    "drift": (40.0, -30.0),
    "rotation_deg": 0.8,
    "cloudy_fraction": 0.0,
    "n_smeared": 0,
    "n_trails": 0,
    "n_transits": 0,
    "n_pulsators": 0,
    "n_binaries": 0,
    "n_flares": 0,
    "seed": 41,
}
STRONG, WEAK = 0.06, 0.00005  # of 0.2 to 0.9 % of noise a point: 25 sigma or more, a tenth of a sigma or less
LOST = 0.03


@dataclass(frozen=True)
class Result:
    folder: Path
    report: dict[str, Any]
    stars: list[dict[str, str]]

    def of(self, amplitude: float) -> list[dict[str, str]]:
        return [star for star in self.stars if float(star["amplitude"]) == amplitude]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("injection")
    simulate(night_spec("demo", **NIGHT), folder / "night")
    work = folder / "work"
    reduce(folder / "night", work)
    there = Programs({"TIANYU_DATABASE_URL": f"sqlite:///{work / 'tianyu.db'}", "TIANYU_ROOT": str(work)}, folder)
    observation = read_night(work).observation
    before = (folder / "night").stat().st_mtime_ns
    out = folder / "out"
    done = there.run(
        *("inject", str(observation), str(out), "--kind", "pulsation", "--amplitudes", f"{STRONG},{WEAK}"),
        *("--consumers", "2", "--seed", "3", "--json"),
    )
    assert (folder / "night").stat().st_mtime_ns == before
    with (out / "recovery.csv").open() as file:
        return Result(out, json_keys.parse(done.stdout), list(csv.DictReader(file)))


def test_its_json_is_that_of_the_page(result: Result) -> None:
    json_keys.check("tianyu inject", result.report)


def test_stars_of_all_brightnesses_get_both_amplitudes(result: Result) -> None:
    assert len(result.of(STRONG)) >= 2
    assert len(result.of(WEAK)) >= 2
    assert len({star["magnitude_bin"] for star in result.stars}) >= 3
    with (result.folder / "truth.csv").open() as file:
        assert [row["source_id"] for row in csv.DictReader(file)] == [star["source_id"] for star in result.stars]


def test_strong_signals_are_recovered_unbiased(result: Result) -> None:
    for star in result.of(STRONG):
        assert star["recovered_known"] == "1", star
        lost = 1 - (float(star["found_amplitude"]) - float(star["amplitude_before"])) / STRONG
        assert abs(lost) < LOST, star
        # Also without the help of the night before, within the errors of fit and noise together.
        assert abs(float(star["found_amplitude"]) - STRONG) < max(4 * float(star["found_error"]), LOST * STRONG), star
    [total] = [cell for cell in result.report["totals"] if cell["amplitude"] == STRONG]
    assert abs(total["loss"]) < 0.015
    assert total["known"]["found"] == total["known"]["tried"] == len(result.of(STRONG))


def test_strong_signals_are_put_forward(result: Result) -> None:
    assert all(star["recovered_blind"] == "1" for star in result.of(STRONG))


def test_signals_in_the_noise_are_not_recovered(result: Result) -> None:
    for star in result.of(WEAK):
        assert star["recovered_known"] == star["recovered_blind"] == "0", star
        assert float(star["found_error"]) > 5 * WEAK


def test_nothing_is_made_variable_beside_them(result: Result) -> None:
    assert result.report["false_candidates"] == result.report["candidates_before"]
    assert result.report["lost"] == 0
    assert result.report["not_injected"] > 100


def test_the_plot_is_drawn(result: Result) -> None:
    image = imread(result.folder / "recovery.png")
    assert np.unique(image.reshape(-1, image.shape[-1]), axis=0).shape[0] > 50
