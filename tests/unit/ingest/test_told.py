"""What names of files and an observing log tell goes before headers, and what disagrees is said."""

import re
from pathlib import Path
from typing import Any

import pytest

from services.errors import ConfigurationError
from services.header_reading import Reading
from services.ingest.grouping import ObservationKey, group
from services.ingest.name_patterns import NamePatterns
from services.ingest.observing_log import ObservingLog, read_log, running_numbers
from services.ingest.raw_folder import read_folder
from tests.unit.ingest.made_frames import write

BY_MINUS = r"(?P<obj>[^_]*)-(?P<sn>[0-9]{3,6})(?P<band>[a-zA-Z]{0,1}).fit(s{0,1})"
BY_UNDERSCORES = r"(?P<obj>[^_]*)_(?P<band>[a-zA-Z]{0,1})_(?P<sn>[0-9]{3,6}).fit(s{0,1})"
OF_FLATS = r"(?P<obj>flat)_(?P<band>[a-zA-Z])_(?P<sn>[0-9]{1,2})_[a-zA-Z]_([0-9]{3,6}).fit(s{0,1})"
XINGLONG = """\
1,10,bias,1,,
116,125,sky flat,1,,
126,135,dark,300,,
11,53,3C454.3,300,22:53:57,+16:08:53
55,94,PKS0235+164,300,02:38:38.9301,+16:36:59.275
96,114,OJ287,300,08:54:48,+20:06:30
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("UYUMa-0003l.fit", ("light", "UYUMa", "l", 3)),
        ("bias-0001.fits", ("bias", None, None, 1)),
        ("TCrB_V_001.fits", ("light", "TCrB", "V", 1)),
        ("flat_R_003.fit", ("flat", None, "R", 3)),
        ("flat_R_1_R_001.fit", ("flat", None, "R", 1)),
        ("TCrB_V_001.fits.gz", ("light", "TCrB", "V", 1)),
        ("noise.fits", None),
    ],
)
def test_patterns_of_qlcp(name: str, told: tuple[Any, ...] | None) -> None:
    found = NamePatterns([BY_MINUS, BY_UNDERSCORES, OF_FLATS]).read(Path("/data/night") / name)
    assert told == (None if found is None else (found.told.kind, found.told.target, found.told.filter, found.number))


def test_a_pattern_may_speak_of_folders() -> None:
    patterns = NamePatterns([r"(?P<obj>[^/]+)/(?P<band>[^/]+)/img(?P<sn>\d+)\.fits", r"(?P<band>[gri])/.*"])
    found = patterns.read(Path("/data/WASP-12/r/img0042.fits"))
    assert found is not None
    assert (found.told.target, found.told.filter, found.number) == ("WASP-12", "r", 42)
    other = patterns.read(Path("/data/g/x.fits"))
    assert other is not None
    assert (other.told.target, other.told.filter, other.told.kind) == (None, "g", None)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(?P<obj>.*", "is no regular expression"),
        (r".*\.fits", "has the groups none"),
        (r"(?P<star>.*)\.fits", "has the groups star: expected some of"),
        ("(?P<obj>a)" + "b" * 200, "has 210 characters: at most 200"),
    ],
)
def test_what_is_no_pattern_is_named(pattern: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        NamePatterns([pattern])


def test_a_pattern_that_would_take_for_ever_is_stopped() -> None:
    with pytest.raises(ConfigurationError, match="took longer than 1 s"):
        NamePatterns([r"(?P<obj>(a|a|aa)+)(b|(a|a|aa)+)*c"]).read(Path("/x") / ("a" * 60 + "d"))


def keys(folder: Path, patterns: tuple[str, ...] = (), log: ObservingLog | None = None) -> list[ObservationKey]:
    return list(group(read_folder(folder, reading=Reading(patterns=patterns), log=log).frames))


def night(folder: Path, **cards: Any) -> Path:
    for number in range(1, 4):
        start = f"2018-03-01T14:0{number}:00"
        write(folder / f"TCrB_V_00{number}.fits", INSTRUME="cam", **({"DATE_OBS": start} | cards))
    return folder


def test_names_go_before_headers_and_say_so(tmp_path: Path) -> None:
    bare = night(tmp_path / "bare", EXPTIME=30.0)
    full = night(tmp_path / "full", EXPTIME=30.0, OBJECT="T CrB", FILTER="V", IMAGETYP="Light Frame")
    wrong = night(tmp_path / "wrong", EXPTIME=30.0, OBJECT="flatfield", FILTER="B", IMAGETYP="Flat Field")
    assert keys(bare, (BY_UNDERSCORES,)) == keys(full, (BY_UNDERSCORES,)) == keys(wrong, (BY_UNDERSCORES,))
    [key] = keys(full, (BY_UNDERSCORES,))
    assert (key.kind, key.target, key.filter) == ("light", "TCrB", "V")
    frames = read_folder(wrong, reading=Reading(patterns=(BY_UNDERSCORES,))).frames
    assert {note for frame in frames for note in frame.notes} == {
        "kind is 'light' by the file's name, another by the header: the former is used",
        "target is 'TCrB' by the file's name, another by the header: the former is used",
        "filter is 'V' by the file's name, another by the header: the former is used",
    }
    assert all(frame.notes == () for frame in read_folder(full, reading=Reading(patterns=(BY_UNDERSCORES,))).frames)
    unfit = read_folder(full, reading=Reading(patterns=(BY_MINUS,))).frames
    assert {frame.notes for frame in unfit} == {("no pattern fits its name",)}


def log(folder: Path, text: str) -> ObservingLog:
    folder.mkdir(exist_ok=True)
    (folder / "log.csv").write_text(text)
    return read_log(folder / "log.csv")


def test_the_log_of_the_126_m_telescope(tmp_path: Path) -> None:
    read = log(tmp_path, "\ufefffirst,last,name,exposure,ra,dec\n" + XINGLONG.replace("\n", "\r\n") + "# clouds\n\n")
    bias, dark, flat, star = (read.of(number) for number in (1, 130, 120, 53))
    assert [one.kind for one in (bias, dark, flat, star)] == ["bias", "dark", "flat", "light"]
    assert (dark.exposure, dark.target, star.target, star.exposure) == (300.0, None, "3C454.3", 300.0)
    assert (star.ra_deg, star.dec_deg) == (pytest.approx(343.4875), pytest.approx(16.148055))
    assert read.of(54).notes == ("the log 'log.csv' has no line for it",)


def test_a_log_fills_and_overrides_headers_and_says_so(tmp_path: Path) -> None:
    read = log(tmp_path, "1,3,T CrB,30,15:59:30.2,+25:55:13,V\n")
    bare = night(tmp_path / "bare", DATE_OBS="2018-03-01T14:00:00")
    lying = night(
        tmp_path / "lying", EXPTIME="long", OBJECT="T CrB", FILTER="B", IMAGETYP="Dark Frame", RA=1.0, DEC=2.0
    )
    assert keys(bare, log=read) == keys(lying, log=read)
    for folder in (bare, lying):
        for frame in read_folder(folder, log=read).frames:
            assert (frame.kind, frame.target, frame.filter, frame.exposure) == ("light", "T CrB", "V", 30.0)
            assert (frame.ra_deg, frame.dec_deg) == (pytest.approx(239.87583), pytest.approx(25.92028))
            assert frame.jd_utc == pytest.approx((frame.start_utc or 0.0) + 15 / 86400, abs=1e-9)
    assert {frame.notes for frame in read_folder(bare, log=read).frames} == {()}
    by = "by the log 'log.csv'"
    assert {note for frame in read_folder(lying, log=read).frames for note in frame.notes} == {
        f"kind is 'light' {by}, another by the header: the former is used",
        f"filter is 'V' {by}, another by the header: the former is used",
        f"the pointing {by} is far from that of the header: the former is used",
    }


def test_frames_in_no_line_and_in_two_are_said(tmp_path: Path) -> None:
    read = log(tmp_path, "1,2,T CrB,30,,\n2,2,M 67,60,,\n")
    frames = read_folder(night(tmp_path / "night", EXPTIME=30.0), log=read).frames
    said = [[note for note in frame.notes if "log" in note] for frame in frames]
    assert said == [
        [],
        ["the log 'log.csv' has it in lines 1, 2, of which line 1 is used"],
        ["the log 'log.csv' has no line for it"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,10,bias,1,,\nx,3,M 67,1,,\n", "line 2, column 1 (first frame): 'x' is no number"),
        ("5,3,M 67,1,,\n", "line 1, column 2 (last frame): 3 is before the first frame, 5"),
        ("1,3,,1,,\n", "line 1, column 3 (name or kind): is empty"),
        ("1,3,M 67,long,,\n", "line 1, column 4 (exposure): 'long' is no exposure time"),
        ("1,3,M 67,-1,,\n", "line 1, column 4 (exposure)"),
        ("a,3,M 67,1,,\n", "line 1, column 1 (first frame): 'a' is no number of a frame, and no file's name"),
        ("1,3,M 67,1,25:00:00,+1\n", "line 1, column 5 (right ascension): '25:00:00'"),
        ("1,3,M 67,1,08:54:48,+95:00:00\n", "line 1, column 6 (declination): '+95:00:00'"),
        ("1,3,M 67,1,08:54:48,\n", "line 1, column 6 (declination): is empty, beside the other angle"),
        ("1,3\n", "line 1, 2 columns: expected 3 to 7"),
        ("1,2,a,1,,\nx,,,\ny,,,\n", "line 2, column 1 (first frame): 'x' is no number of a frame"),
        ("first,last,name\n", "has no line"),
    ],
)
def test_what_is_wrong_in_a_log_is_named_with_line_and_column(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        log(tmp_path, text)


def test_a_log_may_name_files_and_names_what_is_none(tmp_path: Path) -> None:
    folder = night(tmp_path / "night", EXPTIME=30.0)
    read = log(tmp_path, "TCrB_V_001.fits,TCrB_V_002.fits,T CrB,60,,\n3,3,M 67,30,,\n")
    assert [frame.target for frame in read_folder(folder, log=read).frames] == ["T CrB", "T CrB", "M 67"]
    with pytest.raises(ConfigurationError, match=r"line 1, column 2 .last frame.: there is no frame 'x.fits'"):
        read_folder(folder, log=log(tmp_path, "1,x.fits,T CrB,60,,\n"))
    with pytest.raises(ConfigurationError, match=r"TCrB_V_001\.fits is before the first frame, 2"):
        read_folder(folder, log=log(tmp_path, "2,TCrB_V_001.fits,T CrB,60,,\n"))


def test_numbers_that_count_frames_are_those_that_differ() -> None:
    names = [
        *(f"M67_{number}_60s.fits" for number in (7, 8, 9)),
        *(f"flat_R_1_R_00{n}.fit" for n in (1, 2)),
        "dark.fits",
    ]
    numbers = running_numbers([Path(name) for name in names], {})
    assert [numbers.get(Path(name)) for name in names] == [7, 8, 9, 1, 2, None]
