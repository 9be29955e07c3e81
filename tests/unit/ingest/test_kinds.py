"""Kind, target and filter by header, file name and folder."""

from pathlib import Path

import pytest

from services.ingest.frame_kinds import NO_KIND, filter_of, kind_of, target_of
from tests.unit.ingest.made_frames import header

NEUTRAL = Path("/data/run/a_0001.fits")


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *((text, "bias") for text in ("Bias Frame", "BIAS", "ZERO", "zero", "Master Bias")),
        *((text, "dark") for text in ("Dark Frame", "DARK", "Dark Flat", "DARKFLAT")),
        *((text, "flat") for text in ("FLAT", "SKYFLAT", "Flat Field", "Flat Frame", "DOME FLAT", "Twilight")),
        *((text, "light") for text in ("Light Frame", "LIGHT", "object", "OBJECT", "science")),
    ],
)
@pytest.mark.parametrize("key", ["IMAGETYP", "OBSTYPE", "FRAME", "IMGTYPE"])
def test_kind_by_header(key: str, written: str, kind: str) -> None:
    assert kind_of(header(**{key: written}), NEUTRAL) == (kind, ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x/bias_001.fit", "bias"),
        ("x/flat_V_001.fit", "flat"),
        ("x/object_V_001.fit", "light"),
        ("x/Dark60s-003.fits.gz", "dark"),
        ("x/M31_flat_001.fits", "flat"),
        ("Bias/a1.fits", "bias"),
        ("Flats/a1.fits", "flat"),
        ("Darks/a1.fits", "dark"),
        ("Flats/V/a1.fits", "flat"),
        ("SkyFlats 2017/a1.fits", "flat"),
        ("ScienceImages/a1.fits", "light"),
        ("dark_sky_survey/a1.fits", "light"),
        ("x/flattery_001.fits", "light"),
        ("x/HATP-32171220013343.FITS", "light"),
    ],
)
def test_kind_by_name_and_folder(name: str, kind: str) -> None:
    assert kind_of(header(OBJECT="M 1"), Path("/data") / name) == (kind, ())


def test_a_frame_of_which_nothing_tells_the_kind_is_light_and_says_so() -> None:
    assert kind_of(header(OBJECT="N/A"), NEUTRAL) == ("light", (NO_KIND,))


@pytest.mark.parametrize(
    ("written", "kind"), [("Flat V", "flat"), ("bias", "bias"), ("Dark Nebula", "light"), ("HAT-P-32", "light")]
)
def test_kind_by_object(written: str, kind: str) -> None:
    assert kind_of(header(OBJECT=written), NEUTRAL) == (kind, ())


def test_header_goes_before_name_and_says_so() -> None:
    kind, notes = kind_of(header(IMAGETYP="Light Frame"), Path("/data/Flats/a.fits"))
    assert kind == "light"
    assert notes == ("header says light, name or folder flat: the header is followed",)


def test_unknown_type_is_light_and_says_so() -> None:
    assert kind_of(header(IMAGETYP="STRANGE"), NEUTRAL) == ("light", ("type 'STRANGE' is not known",))


def test_frames_that_are_nothing_to_measure_are_refused() -> None:
    with pytest.raises(ValueError, match="IMAGETYP is 'Focus'"):
        kind_of(header(IMAGETYP="Focus"), NEUTRAL)


def test_types_that_contradict_each_other_are_said() -> None:
    said = "IMAGETYP is 'Light Frame', which is followed, OBSTYPE is 'BIAS'"
    assert kind_of(header(IMAGETYP="Light Frame", OBSTYPE="BIAS"), NEUTRAL) == ("light", (said,))
    assert kind_of(header(IMAGETYP="???", OBSTYPE="BIAS"), NEUTRAL) == ("bias", ())


@pytest.mark.parametrize(
    ("name", "target", "filter_name"),
    [
        ("HAT-P-32_V_001.fits", "HAT-P-32", "V"),
        ("HAT-P-32_V_60s_001.fits", "HAT-P-32", "V"),
        ("WASP-12b-R-0001.fit", "WASP-12b", "R"),
        ("M31_001.fits.fz", "M31", None),
        ("NGC7000.fts", "NGC7000", None),
        ("V_404_Cyg_R_01.fits", "V_404_Cyg", "R"),
        ("light_HAT-P-32_Ic_01.fits", "HAT-P-32", "Ic"),
        ("HATP-32171220013343.FITS", "HATP", None),
        ("object_V_001.fit", None, "V"),
        ("星_001.fits", "星", None),
        ("\udcffx_001.fits", "?x", None),
    ],
)
def test_target_and_filter_by_name(name: str, target: str | None, filter_name: str | None) -> None:
    path = Path("/data") / name
    assert target_of(header(), path, "light") == target
    assert filter_of(header(), path, "light") == filter_name


def test_header_names_target_and_filter() -> None:
    path = Path("/data/M31_V_001.fits")
    made = header(OBJECT="  HAT-P-32   b ", FILTER1="Open", FILTER2="R")
    assert target_of(made, path, "light") == "HAT-P-32 b"
    assert filter_of(made, path, "light") == "R"
    assert filter_of(header(FILTER="Clear"), path, "light") == "Clear"


def test_calibration_frames_have_no_target_and_darkness_no_filter() -> None:
    made = header(OBJECT="M31", FILTER="V")
    assert [target_of(made, NEUTRAL, kind) for kind in ("bias", "dark", "flat")] == [None, None, None]
    assert [filter_of(made, NEUTRAL, kind) for kind in ("bias", "dark", "flat")] == [None, None, "V"]
