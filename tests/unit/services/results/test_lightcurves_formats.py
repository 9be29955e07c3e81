"""The formats of others: what their readers need is there, and nothing unusable."""

import importlib.metadata
import io
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from pipeline.flags import OF_THE_STAR
from services.cli.lightcurve_command import Format
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.aavso import Comparison, StandardMagnitudes, Submission, filter_code
from services.results.lightcurves.export import WRITERS, write_file, write_stream
from services.results.lightcurves.formats import NOT_USABLE
from services.results.lightcurves.points import achieved_over_quoted

JD, BJD = 2460374.123456789, 2460374.127345678
AAVSO_COLUMNS = 15
LIMITS = (30, 16, 8, 6, 5, 3, 3, 20, 8, 20, 8, 7, 5, 20)  # characters of fields, as AAVSO's page has them


@pytest.fixture
def table() -> Table:
    """Six points of a star in a crowd: two usable, then rejected image, saturated, without flux, negative."""
    result = Table(meta={"target": "HAT, P-32 é", "filter": "R", "source": 17, "aperture_radius_px": "4.5"})
    step = np.arange(6) / 1000
    result["jd_utc"] = MaskedColumn(JD + step, unit="d")
    result["bjd_tdb"] = MaskedColumn(BJD + step, unit="d")
    result["image_id"] = MaskedColumn(np.arange(1, 7))
    result["aperture"] = MaskedColumn(np.ones(6, dtype=np.int32))
    result["flux_relative"] = MaskedColumn([1.0, 0.98, 1.0, 1.0, 0.0, -0.1], mask=[0, 0, 0, 0, 1, 0])
    result["flux_relative_error"] = MaskedColumn(np.full(6, 0.002))
    result["flag"] = MaskedColumn(np.array([0, 0, 512, 4, 0, 0], dtype=np.int32) | OF_THE_STAR)
    result["image_good"] = MaskedColumn([True, True, False, True, True, True])
    result["usable"] = MaskedColumn([True, True, False, False, False, True])
    for name in ("mag", "mag_error", "bjd_tdb_source"):
        result[name] = MaskedColumn(np.zeros(6), mask=True)
    return result


def text(table: Table, name: str, submission: Submission | None = None) -> str:
    stream = io.StringIO()
    write_stream(table, stream, name, submission)
    return stream.getvalue()


def aavso(table: Table, **told: Any) -> list[list[str]]:
    """Fields of the file's rows."""
    facts = {"observer": "abc", "name": "RR Lyr"} | told
    return [line.split(",") for line in text(table, "aavso", Submission(**facts)).splitlines()[7:]]


def test_aavso_head_and_rows(table: Table) -> None:
    check = Comparison("000-BBC-1", {2: -11.25})
    told = Submission("abc", "RR Lyr", chart="X1,2", airmass={1: 1.2345, 2: 1.5}, check=check)
    lines = text(table, "aavso", told).splitlines()
    version = importlib.metadata.version("tianyu")
    head = ["#TYPE=Extended", "#OBSCODE=ABC", f"#SOFTWARE=Tianyu {version}", "#DELIM=,", "#DATE=JD", "#OBSTYPE=CCD"]
    assert lines[:6] == head
    assert lines[6] == "#NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES"
    rows = [line.split(",") for line in lines[7:]]
    assert [len(row) for row in rows] == [AAVSO_COLUMNS] * 2
    assert rows[1][:8] == ["RR Lyr", "2460374.124457", "0.0219", "0.0022", "R", "NO", "DIF", "ENSEMBLE"]
    assert rows[0][8:14] == ["na", "000-BBC-1", "na", "1.234", "na", "X12"]
    assert rows[1][8:14] == ["na", "000-BBC-1", "-11.2500", "1.500", "na", "X12"]
    assert "4.5 px" in rows[1][14]


def test_aavso_keeps_the_cameras_filter_where_only_gaias_magnitudes_are_known(table: Table) -> None:
    """They are none of R. Without a filter there is no other scale; a frame without a zero point is left out."""
    table["mag"] = MaskedColumn([12.3456, 0.0, 12.0, 12.0, 12.0, 12.0], mask=[0, 1, 0, 0, 0, 0])
    table["mag_error"] = MaskedColumn(np.full(6, 0.0071))
    assert [row[4:7] for row in aavso(table)] == [["R", "NO", "DIF"]] * 2
    for band in ("Clear", "Halpha 3nm"):
        table.meta["filter"] = band
        [row] = aavso(table)
        assert row[:8] == ["RR Lyr", "2460374.123457", "12.3456", "0.0071", "O", "NO", "STD", "ENSEMBLE"]
        assert row[14].startswith("MAG is G of Gaia DR3")
    assert [row[4:7] for row in aavso(table, band="CV")] == [["CV", "NO", "DIF"]] * 2
    table.meta["filter"] = "R"
    assert [row[2:7] for row in aavso(table, band="O")] == [["12.3456", "0.0071", "O", "NO", "STD"]]


def test_aavso_takes_standard_magnitudes_of_the_filter_alone(table: Table) -> None:
    """They are stated, and points without one are left out."""
    magnitude = np.array([11.5, np.nan, 11.0, 11.0, 11.0, 11.0])
    standard = StandardMagnitudes("R", magnitude, np.full(6, 0.01), "R by APASS, colour term 0.02")
    [row] = aavso(table, standard=standard)
    assert row[2:7] == ["11.5000", "0.0100", "R", "YES", "STD"]
    assert row[14].startswith("R by APASS colour term 0.02; ")
    table.meta["filter"] = "V"
    assert [row[4:7] for row in aavso(table, standard=standard)] == [["V", "NO", "DIF"]] * 2


@pytest.mark.parametrize(("name", "camera", "code"), [("g", "SG", "O"), ("z", "SZ", "ZS")])
def test_magnitudes_of_pan_starrs_are_not_sent_as_sloans(table: Table, name: str, camera: str, code: str) -> None:
    """AAVSO has codes for Pan-STARRS' z alone, of these; the others are told in the notes."""
    table.meta["filter"] = name
    standard = StandardMagnitudes(code, np.full(6, 11.5), np.full(6, 0.01), f"{name} (Pan-STARRS, AB)", camera)
    rows = aavso(table, standard=standard)
    assert {tuple(row[2:7]) for row in rows} == {("11.5000", "0.0100", code, "YES", "STD")}
    assert all(row[14].startswith(f"{name} (Pan-STARRS") for row in rows)
    assert {tuple(row[4:7]) for row in aavso(table, standard=standard, band=camera)} == {(camera, "NO", "DIF")}


def test_aavso_names_a_single_comparison_star(table: Table) -> None:
    rows = aavso(table, comparison=Comparison("000-BBC-2, x" + "y" * 30, {1: -10.0}))
    assert [row[7:9] for row in rows] == [["000-BBC-2 xyyyyyyyyy", "-10.0000"], ["000-BBC-2 xyyyyyyyyy", "na"]]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"observer": ""}, "observer code '' is none of AAVSO's"),
        ({"observer": "A\nB"}, "expected 1 to 5 letters and digits"),
        ({"name": "  "}, "star name '  ' has no 1 to 30 characters"),
        ({"name": "x" * 31}, "say the one that VSX has"),
        ({"band": "Q"}, "band 'Q' is none of AAVSO's: expected one of U, B, V, R, I"),
    ],
)
def test_what_aavso_would_refuse_is_refused(table: Table, told: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        aavso(table, **told)


def test_aavso_needs_an_observer(table: Table) -> None:
    with pytest.raises(ConfigurationError, match="needs the observer's code"):
        text(table, "aavso")


@pytest.mark.parametrize("name", ["exoclock", "lightkurve"])
def test_the_stars_own_time_goes_before_its_fields(table: Table, tmp_path: Path, name: str) -> None:
    """Seconds, at the corner of a wide field; where a point has none, all are the field's."""

    def first() -> float:
        write_file(table, tmp_path / "curve", name)
        if name == "exoclock":
            return float(np.loadtxt(tmp_path / "curve")[0, 0])
        return float(fits.getdata(tmp_path / "curve")["TIME"][0]) + 2457000

    table["bjd_tdb_source"] = MaskedColumn(np.asarray(table["bjd_tdb"]) + 1e-4)
    assert first() == pytest.approx(BJD + 1e-4, rel=0, abs=1e-7)
    table["bjd_tdb_source"].mask[1] = True
    assert first() == pytest.approx(BJD, rel=0, abs=1e-7)


def test_aavso_field_limits(table: Table) -> None:
    """The longest names and numbers that AAVSO takes."""
    table["flux_relative"][0] = 1e-30
    table["flux_relative_error"][0] = 1e3
    for fields in aavso(table, name="x" * 30, chart="c" * 99, check=Comparison("k" * 99)):
        assert all(len(field) <= limit for field, limit in zip(fields, LIMITS, strict=False))


@pytest.mark.parametrize(
    ("band", "plane", "code"),
    [
        *(("V", "", "V"), ("R", "", "R"), ("Rc", "", "R"), ("I", "", "I"), ("r", "", "SR"), ("r'", "", "SR")),
        *(("zs", "", "ZS"), ("SZ", "", "SZ"), ("i", "", "SI"), ("B", "", "B"), ("b", "", "O"), ("Y", "", "Y")),
        *(("Clear", "", "CV"), ("LUMINANCE", "", "CV"), ("", "", "CV"), ("H-Alpha", "", "HA"), ("OIII", "", "O")),
        # The planes of a colour camera, and filters of their names before another camera.
        *(("R", "R", "TR"), ("B", "B", "TB"), ("G1", "G1", "TG"), ("Red", "", "TR"), ("V R", "R", "O")),
    ],
)
def test_aavso_filters(band: str, plane: str, code: str) -> None:
    assert filter_code(band, plane) == code


def test_no_line_can_be_smuggled_in(table: Table) -> None:
    table.meta |= {"filter": "R\n1,2"}
    told = Submission("A", "a\n#OBSCODE=XYZ\nb,c", chart="x\ny", check=Comparison("k\n1,2", {}))
    lines = text(table, "aavso", told).splitlines()
    assert len(lines) == 9
    assert all(len(line.split(",")) == AAVSO_COLUMNS for line in lines[7:])


def many(scatter: float, quoted: float) -> Table:
    """A night of 400 points, through half of which a transit of 5 % goes."""
    rng, n = np.random.default_rng(4), 400
    result = Table(meta={"filter": "R", "source": 17})
    result["jd_utc"] = JD + np.arange(n) / 1000
    result["bjd_tdb"] = BJD + np.arange(n) / 1000
    result["bjd_tdb_source"] = MaskedColumn(np.zeros(n), mask=True)
    result["aperture"], result["usable"] = np.ones(n, dtype=np.int32), np.ones(n, dtype=bool)
    result["flux_relative"] = 1.0 - 0.05 * (np.arange(n) > n // 2) + rng.normal(0.0, scatter, n)
    result["flux_relative_error"] = np.full(n, quoted)
    return result


@pytest.mark.parametrize(("quoted", "factor"), [(0.001, 3.0), (0.003, 1.0), (0.009, 1.0)])
def test_errors_for_archives_are_those_that_were_achieved(quoted: float, factor: float) -> None:
    """A transit is no scatter, and no error becomes smaller; to 7 %, which 400 points can tell (1.6 / sqrt(2 n))."""
    table = many(0.003, quoted)
    assert achieved_over_quoted(table) == pytest.approx(factor, rel=0.14)
    exoclock = np.loadtxt(io.StringIO(text(table, "exoclock")))
    etd = np.loadtxt(io.StringIO(text(table, "etd")))
    np.testing.assert_allclose(exoclock[:, 2], quoted * achieved_over_quoted(table), atol=1e-6)
    np.testing.assert_allclose(etd[:, 2], 1.0857 * exoclock[:, 2] / exoclock[:, 1], atol=1e-5)


def test_exoclock_reads_back(table: Table) -> None:
    back = np.loadtxt(io.StringIO(text(table, "exoclock")))
    np.testing.assert_allclose(back[:, 0], [BJD, BJD + 0.001], rtol=0, atol=1e-8)
    np.testing.assert_allclose(back[:, 1:], [[1.0, 0.002], [0.98, 0.002]])


def test_etd_reads_back(table: Table) -> None:
    back = np.loadtxt(io.StringIO(text(table, "etd")))
    np.testing.assert_allclose(back[:, 0], [JD, JD + 0.001], rtol=0, atol=1e-6)
    np.testing.assert_allclose(10 ** (-0.4 * back[:, 1]), [1.0, 0.98], atol=1e-5)
    np.testing.assert_allclose(back[:, 2], 1.0857 * 0.002 / np.array([1.0, 0.98]), atol=1e-5)


def test_lightkurve_has_what_its_reader_needs(table: Table, tmp_path: Path) -> None:
    table.meta |= {"ra_deg": 31.04, "dec_deg": 46.69}
    write_file(table, tmp_path / "curve.fits", "lightkurve")
    with fits.open(tmp_path / "curve.fits") as hdus:
        primary, curve = hdus[0].header, hdus[1]
        assert (primary["RA_OBJ"], primary["DEC_OBJ"]) == (31.04, 46.69)
        assert (curve.header["BJDREFI"], curve.header["BJDREFF"], curve.header["TIMESYS"]) == (2457000, 0.0, "TDB")
        assert "CREATOR" not in primary, "lightkurve would look for a mission's file"
        np.testing.assert_allclose(curve.data["TIME"] + 2457000, table["bjd_tdb"], rtol=0, atol=1e-8)
        np.testing.assert_array_equal(curve.data["FLUX"], [1.0, 0.98, np.nan, np.nan, np.nan, -0.1])
        np.testing.assert_array_equal(curve.data["FLUX_ALL"], [1.0, 0.98, 1.0, 1.0, np.nan, -0.1])
        np.testing.assert_array_equal(curve.data["QUALITY"] == 0, [True, True, False, False, False, True])
        assert curve.data["QUALITY"][3] & ~NOT_USABLE == 4
    assert table["usable"].tolist() == [True, True, False, False, False, True], "writing changed the light curve"


def test_lightkurve_masks_what_is_not_usable(table: Table, tmp_path: Path) -> None:
    """By its own reader, without a word from the user: what it holds for missing is NaN."""
    import lightkurve

    write_file(table, tmp_path / "curve.fits", "lightkurve")
    curve = lightkurve.read(tmp_path / "curve.fits")
    assert np.isnan(curve.flux.value).tolist() == [False, False, True, True, True, False]
    np.testing.assert_allclose(curve.remove_nans().time.jd, np.asarray(table["bjd_tdb"])[[0, 1, 5]], rtol=0, atol=1e-8)
    assert curve.time.scale == "tdb"
    np.testing.assert_array_equal(np.asarray(curve["quality"] == 0), table["usable"])


@pytest.mark.parametrize("name", ["aavso", "exoclock", "etd", "lightkurve"])
def test_several_apertures_and_nothing_usable_are_refused(table: Table, tmp_path: Path, name: str) -> None:
    table["usable"][:] = False
    with pytest.raises(DataError, match="none of the 6 points is usable"):
        write_file(table, tmp_path / "curve", name, Submission("A", "x"))
    table["aperture"][0] = 0
    with pytest.raises(ConfigurationError, match="2 apertures: this format takes one"):
        write_file(table, tmp_path / "curve", name, Submission("A", "x"))
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_offers_every_format() -> None:
    assert get_args(Format) == tuple(WRITERS)
