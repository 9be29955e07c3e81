"""Dialects: what headers of many instruments are read as, and an operator's own."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from astropy.time import Time

from services.errors import ConfigurationError, DataError
from services.header_reading import Reading
from services.ingest.dialect_files import SHIPPED, STANDARD_NAME, Dialects, read_dialect, shipped, with_own
from services.ingest.east_or_west import judged
from services.ingest.frame_kinds import NO_KIND
from services.ingest.grouping import group
from services.ingest.headers import FrameFacts, read_frame
from services.ingest.raw_folder import read_folder
from tests.unit.docs.pages import DOCS, blocks
from tests.unit.ingest.header_corpus import Sample, samples
from tests.unit.ingest.made_frames import header, write

SAMPLES = samples()
READABLE = [sample for sample in SAMPLES if "rejected" not in sample.expected]
OWN = next(block for block in blocks(DOCS / "how-to" / "own-frames.md", "text") if block.startswith("about"))


def named(sample: Sample) -> str:
    return sample.name


@pytest.mark.parametrize("sample", READABLE, ids=named)
def test_a_header_is_read_as_its_instrument_means_it(sample: Sample, tmp_path: Path) -> None:
    expected = dict(sample.expected)
    dialects, night = expected.pop("dialects"), expected.pop("night")
    [frame] = judged([read_frame(sample.write(tmp_path))])
    merged = sample.headers[-1].copy()
    merged.extend(sample.headers[0], unique=True)
    assert list(shipped().recognised(merged)) == dialects
    for fact in ("layout", "file"):
        expected.pop(fact, None)
    if (site := expected.pop("site", None)) is not None:
        assert [frame.site_latitude, frame.site_longitude] == pytest.approx(site, abs=1e-3)
    if (elevation := expected.pop("elevation", None)) is not None:
        assert frame.site_elevation == elevation
    if (start := expected.pop("start", None)) is not None:
        assert frame.start_utc == pytest.approx(Time(start, scale="utc").jd, abs=0.05 / 86400, rel=0)
        assert frame.jd_utc == pytest.approx(frame.start_utc + frame.exposure / 2 / 86400, abs=1e-9, rel=0)
    for fact, value in expected.items():
        found = getattr(frame, fact)
        wanted = None if value is False else value
        assert found == (pytest.approx(wanted, abs=1e-4) if isinstance(wanted, float) else wanted), fact
    [key] = group([frame])
    if night:
        assert key.night == date.fromisoformat(night)
    told = ("reduced elsewhere", "SITELONG", "LONGITUD", "no time", "no exposure", NO_KIND)
    assert [note for note in frame.notes if not note.startswith(told)] == []


@pytest.mark.parametrize("sample", [one for one in SAMPLES if "rejected" in one.expected], ids=named)
def test_what_is_nothing_to_measure_is_rejected_with_its_word(sample: Sample, tmp_path: Path) -> None:
    path = sample.write(tmp_path)
    with pytest.raises(DataError, match=f"{re.escape(str(path))}.*{re.escape(sample.expected['rejected'])}"):
        read_frame(path)


def test_every_dialect_has_a_header() -> None:
    used = {name for sample in SAMPLES for name in sample.expected["dialects"]}
    assert used == {path.stem for path in SHIPPED.glob("*.toml")} - {STANDARD_NAME}


def test_all_of_a_folder_are_grouped_by_what_they_are(tmp_path: Path) -> None:
    for sample in SAMPLES:
        sample.write(tmp_path)
    folder = read_folder(tmp_path)
    assert len(folder.unreadable) == len(SAMPLES) - len(READABLE)
    groups = group(folder.frames)
    told = {(key.kind, key.target, key.filter, key.instrument) for key in groups}
    assert told == {
        (one.expected["kind"], one.expected.get("target"), one.expected.get("filter"), one.expected["instrument"])
        for one in READABLE
    }
    assert sum(map(len, groups.values())) == len(READABLE)


def own(folder: Path, text: str, name: str = "mine") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder


DOOM = {"TELESCOP": "Doom 40", "FILTER1": "x", "FILTER2": "V", "SHUTTER": 1500, "DATE_OBS": "2024-05-06T03:00:01.5"}


def test_a_dialect_of_ones_own_as_the_manual_has_it(tmp_path: Path) -> None:
    frame = read_frame(
        write(tmp_path / "a.fits", **DOOM, IMAGETYP="Patrol image", GAIN=2), None, with_own(own(tmp_path / "d", OWN))
    )
    assert (frame.kind, frame.filter, frame.exposure, frame.gain) == ("light", "V", 1.5, None)
    assert frame.start_utc == pytest.approx(Time("2024-05-05T19:00:00", scale="utc").jd, abs=1e-8, rel=0)
    assert frame.notes == ()
    with pytest.raises(DataError, match="IMAGETYP is 'pinhole'"):
        read_frame(write(tmp_path / "b.fits", **DOOM, IMAGETYP="pinhole"), None, with_own(tmp_path / "d"))


def test_ones_own_goes_before_what_comes_along_and_counts_as_a_corrected_header(tmp_path: Path) -> None:
    path = write(tmp_path / "night" / "a.fits", INSTRUME="QHY600M", GAIN=2, EXPTIME=3.0)
    folder = own(tmp_path / "d", 'about = "x"\nrecognised = [{INSTRUME = "qhy600m"}]\ngain_is_setting = false\n')
    before = read_frame(path)
    after = read_frame(path, None, with_own(folder))
    assert (before.gain, after.gain) == (None, 2.0)
    assert before.header != after.header
    own(folder, 'about = "y"\nrecognised = [{INSTRUME = "qhy600m"}]\ngain_is_setting = false\n')
    assert read_frame(path, None, with_own(folder)).header != after.header


def test_a_clock_offset_holds_for_stamps_that_do_not_say_that_they_are_utc(tmp_path: Path) -> None:
    told: dict[str, dict[str, Any]] = {
        "a": {"DATE_OBS": "2024-05-06T03:00:00"},
        "b": {"DATE_OBS": "2024-05-05T19:00:00Z"},
        "c": {"DATE_OBS": "2024-05-06T03:00:00", "UT": "19:00:00"},
        "d": {"DATE_OBS": "2024-05-05T19:00:00", "TIMESYS": "UTC"},
        "e": {"DATE_OBS": ("2024-05-05T19:00:00", "[UTC] start of exposure")},
        "f": {"DATE_OBS": ("2024-05-06T03:00:00", "local time"), "TIMESYS": "UTC"},
        "g": {"DATE_OBS": "2024-05-05T19:00:37", "TIMESYS": "TAI"},
    }
    for name, cards in told.items():
        write(tmp_path / f"{name}.fits", EXPTIME=10.0, OBJECT=name, **cards)
    frames = read_folder(tmp_path, reading=Reading(clock_offset_h=8.0)).frames
    assert {round((frame.start_utc or 0.0) - Time("2024-05-05T19:00:00").jd, 6) for frame in frames} == {0.0}
    left_aside = {frame.target for frame in frames if any("clock_offset_h is left aside" in n for n in frame.notes)}
    assert left_aside == {"d", "e", "g"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('about = "x"', "recognised: nothing says how it is recognised"),
        ('about = "x"\nrecognised = [{}]', "an entry without a keyword"),
        ('about = "x"\nrecognised = [{A = "b"}]\n[keywords]\nexposur = ["T"]', "keywords.exposur: Extra inputs"),
        (
            'about = "x"\nrecognised = [{A = "b"}]\n[keywords]\nexposure = ["lower"]',
            "keywords.exposure.0: String should",
        ),
        ('about = "x"\nrecognised = [{A = "b"}]\n[kinds]\n"a*" = "lights"', "kinds"),
        ('about = "x"\nrecognised = [{A = "b"}]\n[units]\nT = "parsec"', "units.T"),
        ('about = "x"\nrecognised = [{A = "' + "*a" * 40 + '"}]', "recognised.0.A: String should have at most 64"),
        ("about = ", "is no TOML"),
        ("\udcff", "is no TOML"),
    ],
)
def test_what_is_wrong_in_ones_own_is_named_with_file_and_key(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        with_own(tmp_path)
    assert str(path) in str(caught.value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="which is no folder"):
        with_own(tmp_path / "missing")


def test_patterns_of_stars_take_no_longer_than_others() -> None:
    """A pattern of many stars against a value that nearly fits: without bound this would take for ever."""
    dialect = read_dialect(SHIPPED / "nina.toml").model_copy(update={"recognised": ({"A": "*A" * 30 + "B"},)})
    assert Dialects(dialect, {"slow": dialect}).recognised(header(A="A" * 64)) == ()


def test_facts_are_never_of_a_dialect_that_is_not_recognised(tmp_path: Path) -> None:
    frame: FrameFacts = read_frame(write(tmp_path / "a.fits", HEAD="x", FRAME="Flat Field", TEMP=-60.0))
    assert replace(frame).kind == "flat"
    assert frame.temperature is None
