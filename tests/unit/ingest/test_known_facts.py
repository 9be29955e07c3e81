"""Tables of instruments and stations fill what headers lack, or go before them; what differs is said."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.header_reading import Reading
from services.ingest.common_facts import header_digest
from services.ingest.given import Given
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import read_folder
from services.settings import Settings, as_environment, load
from tests.unit.ingest.made_frames import pixels, write

CAMERA: dict[str, Any] = {"camera": "QHYCCD*600*", "gain": 0.8, "read_noise": 3.5, "pixel_size_um": 3.76}
DOME: dict[str, Any] = {"longitude_deg": 250.0, "latitude_deg": -30.5, "elevation_m": 2400.0, "focal_length_mm": 1000.0}


def reading(instrument: dict[str, Any] | None = None, **station: Any) -> Reading:
    return Reading.model_validate(
        {"instrument": {"Q": CAMERA | (instrument or {})}, "station": {"Dome": DOME | station}}
    )


def read(tmp_path: Path, known: Reading, given: Given | None = None, **cards: Any) -> FrameFacts:
    path = tmp_path / "m67.fits"
    path.unlink(missing_ok=True)
    cards = {"INSTRUME": "QHYCCD-Cameras-Capture 600M", "DATE_OBS": "2024-01-01T20:00:00", "EXPTIME": 60.0} | cards
    write(path, pixels(shape=(40, 60)), OBJECT="M67", **cards)
    [frame] = read_folder(tmp_path, given=given, reading=known).frames
    return frame


def test_a_table_fills_what_the_header_lacks(tmp_path: Path) -> None:
    frame = read(tmp_path, reading(), XBINNING=2, YBINNING=2, RDNOISE=4.0)
    assert (frame.gain, frame.gain_source, frame.read_noise, frame.read_noise_source) == (
        0.8,
        "instrument",
        4.0,
        "RDNOISE",
    )
    assert (frame.site_longitude, frame.site_latitude, frame.site_elevation) == (-110.0, -30.5, 2400.0)
    assert frame.pixel_scale_arcsec == pytest.approx(2 * 206.265 * 3.76 / 1000.0, rel=1e-4)  # binned
    assert frame.known == "Q at Dome"
    said = "read noise of 4 by the header is used, 3.5 by 'Q' is not; `override = true` in its table turns that round"
    assert said in frame.notes


def test_a_table_that_overrides_goes_before_the_header(tmp_path: Path) -> None:
    place = {"SITELAT": 40.0, "SITELONG": 117.0}
    frame = read(tmp_path, reading({"override": True}, override=True), EGAIN=1.2, **place)
    assert (frame.gain, frame.site_latitude) == (0.8, -30.5)
    assert "gain of 0.8 by 'Q' is used, 1.2 by the header is not" in frame.notes
    assert any("station 'Dome' at -110.00 -30.50: that of 'Dome' is used" in note for note in frame.notes)
    kept = read(tmp_path, reading(), EGAIN=1.2, **place)
    assert (kept.gain, kept.site_latitude) == (1.2, 40.0)


def test_a_header_says_how_it_is_turned_before_a_table_does(tmp_path: Path) -> None:
    turned = reading({"position_angle_deg": 90.0, "mirrored": True})
    frame = read(tmp_path, turned)
    assert (frame.position_angle_deg, frame.mirrored) == (90.0, True)
    frame = read(tmp_path, turned, ORIENTAT=268.0)  # half a turn and two degrees
    assert (frame.position_angle_deg, frame.notes) == (268.0, ())
    frame = read(tmp_path, turned, ORIENTAT=-10.0)
    assert frame.position_angle_deg == -10.0
    assert "position angle is -10 degrees by the header, 90 by 'Q': the header's is used" in frame.notes
    frame = read(tmp_path, reading({"position_angle_deg": 90.0, "override": True}), ORIENTAT=-10.0)
    assert frame.position_angle_deg == 90.0


def test_other_cameras_are_left_alone_but_for_their_station(tmp_path: Path) -> None:
    frame = read(tmp_path, reading(), INSTRUME="Andor")
    assert (frame.gain, frame.site_latitude) == (None, -30.5)
    assert read(tmp_path, reading(telescope="2m*"), INSTRUME="Andor").known == ""
    assert read(tmp_path, reading(), Given(instrument="Q"), INSTRUME="Andor").gain == 0.8


def test_clock_and_read_out_are_those_of_the_table(tmp_path: Path) -> None:
    known = reading({"border_cut": [1, 2, 3, 4]}, clock_offset_h=8.0)
    frame = read(tmp_path, known, DATE_OBS="2024-01-02T04:00:00")
    assert frame.shape == (33, 57)
    assert frame.start_utc == pytest.approx(2460311.0 + 8 / 24, abs=1e-6)  # 20:00 UTC on the day before


def test_a_changed_table_has_frames_read_again(tmp_path: Path) -> None:
    digests = {header_digest(read(tmp_path, one)) for one in (reading(), reading(), reading({"gain": 0.9}), Reading())}
    assert len(digests) == 3


def test_tables_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tianyu.toml"
    file.write_text('[instrument."Q"]\ngain = 0.8\nstation = "Dome"\n[station."Dome"]\nlatitude_deg = -30.5\n')
    monkeypatch.setenv("TIANYU_CONFIG", str(file))
    settings = load()
    assert settings.reading.instrument["Q"].gain == 0.8
    monkeypatch.delenv("TIANYU_CONFIG")
    for name, value in as_environment(settings).items():  # what other processes are started with
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    with pytest.raises(ValidationError, match="is at station 'Elsewhere', of which there is no table"):
        reading({"station": "Elsewhere"})
