"""What headers say of overscan, trim, amplifiers and colours: taken where it fits, said where it does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pipeline.detector.readout import Amplifier, Readout, Window
from services.errors import ConfigurationError, DataError
from services.frame_geometry import geometry_text, readout_of
from services.header_reading import Reading
from services.ingest.bayer import colours_of
from services.ingest.grouping import group
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.raw_folder import read_folder
from services.ingest.readouts import ReadFrame
from tests.unit.ingest.made_frames import header, pixels, write

KEYS = ("BAYERPAT", "COLORTYP")
SHAPE = (60, 100)  # (ny, nx)


def read(tmp_path: Path, reading: Reading | None = None, **cards: Any) -> tuple[FrameFacts, ReadFrame]:
    path = write(tmp_path / "a.fits", pixels(shape=SHAPE), EXPTIME=10.0, DATE_OBS="2024-01-01T20:00:00", **cards)
    frame = read_frame(path, reading=reading)
    assert frame.read is not None
    return frame, frame.read


def windows(found: ReadFrame) -> tuple[Window, Window | None]:
    assert found.readout is not None
    [amplifier] = found.readout.amplifiers
    return amplifier.data, amplifier.overscan


@pytest.mark.parametrize(
    "cards",
    [
        {"TRIMSEC": "[1:90,1:60]", "BIASSEC": "[91:100,1:60]"},
        {"DATASEC": "[1:90,1:60]", "BIASSEC": "[91:100, 1:60]", "TRIMSEC": "N/A"},
        {"TRIMSEC": "[90:1,60:1]", "BIASSEC": "[100:91,1:60]"},  # counted backwards
        {"TRIMSEC": "[1:180,1:120]", "BIASSEC": "[181:200,1:120]", "XBINNING": 2, "YBINNING": 2},  # unbinned pixels
        {"BIASSEC": "[91:100,1:60]"},  # what is beside it is data
    ],
)
def test_overscan_and_trim(tmp_path: Path, cards: dict[str, Any]) -> None:
    frame, found = read(tmp_path, **cards)
    assert windows(found) == (Window(0, 90, 0, 60), Window(90, 100, 0, 60))
    assert frame.shape == (60, 90)
    assert found.words == "trim 1:90,1:60, overscan"


@pytest.mark.parametrize(
    ("cards", "note"),
    [
        ({"TRIMSEC": "[1:2048,1:2048]"}, "TRIMSEC [1:2048,1:2048] is not within the frame of 100 x 60 pixels"),
        ({"BIASSEC": "[0:9,0:59]"}, "BIASSEC '[0:9,0:59]' is no section: expected [x1:x2,y1:y2], counted from 1"),
        ({"DATASEC": "all of it"}, "DATASEC 'allofit' is no section: expected [x1:x2,y1:y2], counted from 1"),
        ({"DATASEC": "[1:20,1:20]"}, "DATASEC [1:20,1:20] would leave 7% of the frame"),
    ],
)
def test_a_section_that_does_not_fit_is_said_and_left_out(tmp_path: Path, cards: dict[str, Any], note: str) -> None:
    frame, found = read(tmp_path, **cards)
    assert found.readout is None
    assert frame.shape == SHAPE
    assert f"{note}: left out" in frame.notes


def test_an_overscan_among_the_data_is_left_out(tmp_path: Path) -> None:
    frame, found = read(tmp_path, TRIMSEC="[1:95,1:60]", BIASSEC="[91:100,1:60]")
    assert windows(found) == (Window(0, 95, 0, 60), None)
    assert any(note.startswith("BIASSEC [91:100,1:60] lies within the data") for note in frame.notes)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"CALSTAT": "BDF"}, (Window(0, 90, 0, 60), None)),
        ({"OVERSCAN": "Jan 1 20:00 Overscan section is [91:100,1:60]"}, (Window(0, 90, 0, 60), None)),
        ({"TRIM": "Jan 1 20:00 Trim data section is [1:90,1:60]"}, None),
    ],
)
def test_what_was_done_before_is_not_done_again(
    tmp_path: Path, cards: dict[str, Any], expected: tuple[Window, Window | None] | None
) -> None:
    _, found = read(tmp_path, TRIMSEC="[1:90,1:60]", BIASSEC="[91:100,1:60]", **cards)
    assert (None if found.readout is None else windows(found)) == expected


def test_settings_cut_a_border_and_leave_sections_alone(tmp_path: Path) -> None:
    reading = Reading(border_cut=(2, 3, 5, 0), overscan="none")
    frame, found = read(tmp_path, reading, TRIMSEC="[11:90,1:60]", BIASSEC="[91:100,1:60]")
    assert found.readout == Readout((SHAPE,), (Amplifier(Window(10, 90, 0, 60)),), cut=Window(2, 77, 5, 60))
    assert (frame.shape, found.words) == ((55, 75), "trim 13:87,6:60")
    with pytest.raises(DataError, match="border_cut of 50, 50, 0, 0 pixels leaves nothing of 80 x 60"):
        read_frame(tmp_path / "a.fits", reading=Reading(border_cut=(50, 50, 0, 0)))


def test_windows_at_other_places_of_the_detector_are_apart(tmp_path: Path) -> None:
    assert read(tmp_path, CCDSEC="[101:200,41:100]")[1].words == "from 101,41"
    (tmp_path / "a.fits").unlink()
    assert read(tmp_path, XORGSUBF=0, YORGSUBF=8)[1].words == "from 1,9"


def test_a_row_keeps_a_read_out() -> None:
    readout = Readout(
        ((8, 20), (8, 20)),
        (Amplifier(Window(0, 10, 0, 8)), Amplifier(Window(0, 10, 0, 8), None, (10, 0), (True, False), 1.1, 1)),
        images=(1, 2),
        phase=(0, 1),
    )
    assert readout_of(geometry_text(readout)) == readout
    with pytest.raises(ConfigurationError, match="ingest its folder again"):
        readout_of('{"amplifiers": 3}')


def mosaic(path: Path, sections: list[str], gains: list[float | None], **cards: Any) -> Path:
    hdus: list[Any] = [fits.PrimaryHDU(header=header(EXPTIME=10.0, DATE_OBS="2024-01-01T20:00:00", OBJECT="M67"))]
    for number, (where, gain) in enumerate(zip(sections, gains, strict=True)):
        told = {} if gain is None else {"GAIN": gain}
        own = header(DETSEC=where, DATASEC="[1:50,1:60]", BIASSEC="[51:60,1:60]", **told, **cards)
        hdus.append(fits.ImageHDU(pixels(number, (60, 60)), own))
    fits.HDUList(hdus).writeto(path)
    return path


def test_amplifiers_in_extensions_are_one_frame(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "m.fits", ["[1:50,1:60]", "[100:51,1:60]"], [2.0, 1.6], SATURATE=60000.0)
    frame = read_frame(path)
    assert frame.read is not None
    assert frame.read.readout is not None
    assert frame.read.readout.images == (1, 2)
    assert (frame.shape, frame.gain, frame.saturation) == ((60, 100), 2.0, 60000.0)
    second = frame.read.readout.amplifiers[1]
    assert (second.at, second.flip, second.factor, second.image) == ((50, 0), (True, False), 0.8, 1)
    assert frame.read.words.startswith("2 amplifiers ")


def test_amplifiers_whose_gains_are_not_told_are_joined_with_a_note(tmp_path: Path) -> None:
    frame = read_frame(mosaic(tmp_path / "m.fits", ["[1:50,1:60]", "[51:100,1:60]"], [2.0, None]))
    assert frame.gain is None
    assert any(note.startswith("the gains of 1 of 2 amplifiers are not told") for note in frame.notes)


@pytest.mark.parametrize(
    ("sections", "cards", "reason"),
    [
        (["[1:50,1:60]", "[61:110,1:60]"], {}, "leave gaps between them, as those of several detectors do"),
        (["[1:50,1:60]", "[41:90,1:60]"], {}, "sections overlap"),
        (["[1:50,1:60]", "[1:40,61:120]"], {}, "DATASEC has 50 pixels where DETSEC has 40"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    tmp_path: Path, sections: list[str], cards: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        read_frame(mosaic(tmp_path / "m.fits", sections, [2.0, 2.0], **cards))


def test_several_detectors_are_refused(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "m.fits", ["[1:50,1:60]", "[51:100,1:60]"], [2.0, 2.0])
    for number in (1, 2):
        fits.setval(path, "CCDNAME", value=f"ccd{number}", ext=number)
    with pytest.raises(DataError, match="images of 2 detectors: split them"):
        read_frame(path)


def test_a_mask_of_the_same_part_is_no_amplifier(tmp_path: Path) -> None:
    frame = read_frame(mosaic(tmp_path / "m.fits", ["[1:50,1:60]", "[1:50,1:60]"], [2.0, 2.0]))
    assert frame.shape == (60, 50)
    assert frame.read is not None
    assert windows(frame.read) == (Window(0, 50, 0, 60), Window(50, 60, 0, 60))


def test_amplifiers_that_share_an_image_are_pushed_together(tmp_path: Path) -> None:
    """Overscan in the middle, as two amplifiers at both ends of the register write it."""
    frame, found = read(
        tmp_path,
        DATASEC1="[1:45,1:60]", BIASSEC1="[46:50,1:60]", GAIN1=2.0,
        DATASEC2="[56:100,1:60]", BIASSEC2="[51:55,1:60]", GAIN2=1.0,
    )  # fmt: skip
    assert (frame.shape, frame.gain) == ((60, 90), 2.0)
    assert found.readout is not None
    assert [(a.at, a.factor) for a in found.readout.amplifiers] == [((0, 0), 1.0), ((45, 0), 0.5)]


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"BAYERPAT": "RGGB"}, ("R", "G1", "G2", "B")),
        ({"BAYERPAT": "GBRG"}, ("G2", "B", "R", "G1")),
        ({"BAYERPAT": "RGGB", "XBAYROFF": 1, "YBAYROFF": 0}, ("G1", "R", "B", "G2")),
        ({"BAYERPAT": "RGGB", "ROWORDER": "TOP-DOWN"}, ("R", "G1", "G2", "B")),
        ({"BAYERPAT": "RGGB", "ROWORDER": "BOTTOM-UP"}, ("G2", "B", "R", "G1")),  # of 60 rows
        ({"COLORTYP": "MONO"}, None),
    ],
)
def test_colours(cards: dict[str, Any], expected: tuple[str, ...] | None) -> None:
    assert colours_of(header(**cards), 60, KEYS) == expected


def test_a_pattern_read_from_the_last_row_of_an_odd_number_is_the_same() -> None:
    assert colours_of(header(BAYERPAT="RGGB", ROWORDER="BOTTOM-UP"), 61, KEYS) == ("R", "G1", "G2", "B")


def test_a_colour_camera_gives_a_frame_for_each_colour(tmp_path: Path) -> None:
    data = pixels(shape=SHAPE)
    common = {"INSTRUME": "ASI", "EXPTIME": 10.0, "FOCALLEN": 1000.0, "XPIXSZ": 4.0, "YPIXSZ": 4.0}
    colour = {"BAYERPAT": "RGGB", "BIASSEC": "[98:100,1:60]", "TRIMSEC": "[2:97,1:60]"}
    write(tmp_path / "m67.fits", data, DATE_OBS="2024-01-01T20:00:00", OBJECT="M67", FILTER="UV/IR", **common, **colour)
    write(tmp_path / "flat.fits", pixels(2, SHAPE), IMAGETYP="flat", **common, **colour)
    write(tmp_path / "bias.fits", pixels(3, SHAPE), IMAGETYP="bias", **common)
    frames = read_folder(tmp_path).frames
    assert [(f.path.name, f.plane, f.filter) for f in frames if f.kind != "flat"] == [
        *(("bias.fits", plane, None) for plane in ("R", "G1", "G2", "B")),
        *(("m67.fits", plane, f"UV/IR {plane}") for plane in ("R", "G1", "G2", "B")),
    ]
    assert {(f.shape, f.pixel_scale_arcsec) for f in frames} == {((30, 48), 2 * frames[0].pixel_scale_arcsec / 2)}
    assert [f.filter for f in frames if f.kind == "flat"] == ["R", "G1", "G2", "B"]
    words = {f.plane: f.read.words for f in frames if f.read}
    assert words["G1"] == "trim 2:97,1:60, overscan, plane G1"
    phases = {f.plane: f.read.readout.phase for f in frames if f.read and f.read.readout}
    assert phases == {"R": (1, 0), "G1": (0, 0), "G2": (1, 1), "B": (0, 1)}  # of what is left from column 2 on
    [one_band] = [f for f in read_folder(tmp_path, reading=Reading(colour_planes=())).frames if f.kind == "light"]
    assert any(note.startswith("colour camera: its pixels of three colours") for note in one_band.notes)
    chosen = read_folder(tmp_path, reading=Reading(colour_planes=("B", "R"))).frames
    assert [f.plane for f in chosen if f.kind == "light"] == ["R", "B"]


def test_a_picture_of_three_colours_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.zeros((3, 20, 30), np.uint16))
    with pytest.raises(DataError, match="three colours, made of neighbouring pixels already"):
        read_frame(path)


@pytest.mark.parametrize("image", [fits.ImageHDU, fits.CompImageHDU])
def test_an_extension_of_bad_pixels_is_part_of_the_read_out(tmp_path: Path, image: type[Any]) -> None:
    pixels = np.zeros((60, 80), np.int16)
    table = fits.BinTableHDU.from_columns([fits.Column("flux", "E", array=[1.0])], name="CAT")

    def written(name: str, mask: Any) -> Readout | None:
        hdus = [fits.PrimaryHDU(), image(pixels, name="SCI"), table, image(mask, name="BPM"), image(pixels, name="ERR")]
        fits.HDUList(hdus).writeto(tmp_path / name)
        frame = read_frame(tmp_path / name)
        assert not any("only the first image" in note for note in frame.notes)
        return None if frame.read is None else frame.read.readout

    whole = Amplifier(Window(0, 80, 0, 60))
    assert written("a.fits", pixels.astype(np.uint8)) == Readout(((60, 80),), (whole,), bad_pixels=3)
    assert written("b.fits", pixels[:50].astype(np.uint8)) is None


@pytest.mark.parametrize(("windows", "observations"), [(2, 2), (6, 1)])
def test_windows_that_follow_a_target_are_one_observation(tmp_path: Path, windows: int, observations: int) -> None:
    for number in range(6):
        time, place = f"2024-01-01T20:0{number}:00", {"XORGSUBF": 10 * (number % windows), "YORGSUBF": 5}
        write(tmp_path / f"m67_{number}.fits", pixels(number, SHAPE), OBJECT="M67", EXPTIME=9.0, DATE_OBS=time, **place)
    frames = read_folder(tmp_path).frames
    assert len(group(frames)) == observations
    assert all(any("window on the detector moves" in note for note in f.notes) == (windows == 6) for f in frames)
