"""`tianyu instrument measure` on frames of a known camera."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from services.known_instruments import KnownInstrument
from tests.integration import json_keys
from tests.integration.command_line import tianyu

GAIN, READ, DARK, SIDE = 1.6, 8.0, 0.5, 192


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """Bias frames, darks and flats, the last of them full."""
    folder, rng = tmp_path / "calibration", np.random.default_rng(4)
    folder.mkdir()
    response = 1.0 + 0.05 * rng.standard_normal((SIDE, SIDE))
    response[7, :50] = 0.1
    hot = np.where(rng.random((SIDE, SIDE)) < 0.001, 30.0, 0.0)
    plan = [("Bias", 0.0)] * 4 + [("Dark", t) for t in (50.0, 200.0) for _ in range(2)]
    plan += [("Flat", t) for t in (1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 30.0) for _ in range(2)]
    for number, (kind, time) in enumerate(plan):
        light = 3000.0 * GAIN * time * response if kind == "Flat" else 0.0
        counts = (rng.poisson(light + (DARK + hot) * time) + READ * rng.standard_normal((SIDE, SIDE))) / GAIN + 500.0
        hdu = fits.PrimaryHDU(np.clip(np.round(counts), 0, 65535).astype(np.uint16))
        hdu.header.update({"IMAGETYP": kind, "EXPTIME": time, "INSTRUME": 'Cam "2"', "CCD-TEMP": -10.0})
        hdu.header.update({"DATE-OBS": f"2026-01-02T20:{number:02d}:00"} | ({"FILTER": "V"} if kind == "Flat" else {}))
        hdu.writeto(folder / f"{number:02d}.fits")
    return folder


def test_a_camera_is_measured_and_its_table_can_be_read(calibration: Path, tmp_path: Path) -> None:
    result = tianyu("instrument", "measure", str(calibration), "--json", "--plots", str(tmp_path / "plots"))
    assert result.exit_code == 0, result.output
    [report] = json_keys.parse(result.stdout)
    json_keys.check("tianyu instrument measure", [report])
    found = {(fact["name"], fact["unit"]): fact for fact in report["facts"]}
    truth = {("gain", "e-/ADU"): GAIN, ("read noise", "e-"): READ, ("dark current at -10.0 °C", "e-/s"): DARK}
    for name, value in truth.items():
        assert abs(found[name]["value"] - value) < 4.0 * found[name]["error"] < 0.1 * value, name
    assert found["saturation", "ADU"]["value"] == 65535.0
    assert found["linear up to", "ADU"]["bound"] == "at least"
    assert found["dead pixels", "pixels"]["value"] == 50.0
    table = tomllib.loads(report["table"])["instrument"]['Cam "2"']
    assert KnownInstrument.model_validate(table).gain == pytest.approx(GAIN, rel=0.03)
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3


def test_what_is_lacking_is_said(calibration: Path) -> None:
    for path in sorted(calibration.iterdir())[1:-1]:
        path.unlink()
    result = tianyu("instrument", "measure", str(calibration))
    assert result.exit_code == 0, result.output
    for words in ("a second bias frame", "two flats of one filter", "for linearity", "darks of two exposure times"):
        assert words in result.output
    assert "[instrument." in result.output  # the saturation alone
    assert "gain =" not in result.output
