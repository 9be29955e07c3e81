"""The formats of others: what their readers need is there, and nothing unusable."""

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from pipeline.flags import OF_THE_STAR
from services.cli.lightcurve_command import Format
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.export import WRITERS, write_file, write_stream
from services.results.lightcurves.formats import NOT_USABLE

JD, BJD = 2460374.123456789, 2460374.127345678
AAVSO_COLUMNS = 15


@pytest.fixture
def table() -> Table:
    """Six points of a star in a crowd: two usable, then rejected image, saturated, without flux, negative."""
    result = Table(meta={"target": "HAT, P-32 é", "filter": "R", "source": 17, "aperture_radius_px": "4.5"})
    step = np.arange(6) / 1000
    result["jd_utc"] = MaskedColumn(JD + step, unit="d")
    result["bjd_tdb"] = MaskedColumn(BJD + step, unit="d")
    result["aperture"] = MaskedColumn(np.ones(6, dtype=np.int32))
    result["flux_relative"] = MaskedColumn([1.0, 0.98, 1.0, 1.0, 0.0, -0.1], mask=[0, 0, 0, 0, 1, 0])
    result["flux_relative_error"] = MaskedColumn(np.full(6, 0.002))
    result["flag"] = MaskedColumn(np.array([0, 0, 512, 4, 0, 0], dtype=np.int32) | OF_THE_STAR)
    result["image_good"] = MaskedColumn([True, True, False, True, True, True])
    result["usable"] = MaskedColumn([True, True, False, False, False, True])
    for name in ("mag", "mag_error", "bjd_tdb_source"):
        result[name] = MaskedColumn(np.zeros(6), mask=True)
    return result


def text(table: Table, name: str) -> str:
    stream = io.StringIO()
    write_stream(table, stream, name)
    return stream.getvalue()


def test_aavso_head_and_rows(table: Table) -> None:
    lines = text(table, "aavso").splitlines()
    assert lines[0] == "#TYPE=EXTENDED"
    assert {line.split("=")[0] for line in lines[:6]} == {
        "#TYPE",
        "#OBSCODE",
        "#SOFTWARE",
        "#DELIM",
        "#DATE",
        "#OBSTYPE",
    }
    assert lines[3:6] == ["#DELIM=,", "#DATE=JD", "#OBSTYPE=CCD"]
    assert lines[6].startswith("#NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,")
    rows = [line.split(",") for line in lines[7:]]
    assert [len(row) for row in rows] == [AAVSO_COLUMNS] * 2
    assert rows[1][:8] == ["HAT P-32 source 17", "2460374.124457", "0.0219", "0.0022", "R", "NO", "DIF", "ENSEMBLE"]
    assert rows[1][8:14] == ["na"] * 6
    assert "4.5 px" in rows[1][14]


def test_aavso_takes_gaias_magnitudes_where_there_are_zero_points(table: Table) -> None:
    """They are no magnitudes of the camera's filter, and a frame without a zero point is left out."""
    table["mag"] = MaskedColumn([12.3456, 0.0, 12.0, 12.0, 12.0, 12.0], mask=[0, 1, 0, 0, 0, 0])
    table["mag_error"] = MaskedColumn(np.full(6, 0.0071))
    [row] = [line.split(",") for line in text(table, "aavso").splitlines()[7:]]
    assert row[:8] == ["HAT P-32 source 17", "2460374.123457", "12.3456", "0.0071", "O", "NO", "STD", "ENSEMBLE"]
    assert "G of Gaia DR3" in row[14]
    assert "filter R" in row[14]


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
    """The longest names and numbers that AAVSO takes: 30, 16, 8 and 6 characters."""
    table.meta["target"] = "x" * 200
    table["flux_relative"][0] = 1e-30
    table["flux_relative_error"][0] = 1e3
    for line in text(table, "aavso").splitlines()[7:]:
        fields = line.split(",")
        assert [len(field) <= limit for field, limit in zip(fields, (30, 16, 8, 6), strict=False)] == [True] * 4


@pytest.mark.parametrize(
    ("band", "code"), [("V", "V"), ("r'", "SR"), ("Clear", "CV"), ("", "CV"), ("Halpha", "O"), ("SZ", "SZ")]
)
def test_aavso_filters(table: Table, band: str, code: str) -> None:
    table.meta["filter"] = band
    assert text(table, "aavso").splitlines()[7].split(",")[4] == code


def test_a_star_with_coordinates_is_named_by_them(table: Table) -> None:
    table.meta |= {"ra_deg": 31.0427625, "dec_deg": 46.6878514}
    assert text(table, "aavso").splitlines()[7].split(",")[0] == "J020410.26+464116.3"


def test_no_line_can_be_smuggled_in(table: Table) -> None:
    table.meta |= {"target": "a\n#OBSCODE=XYZ\nb,c", "filter": "R\n1,2"}
    lines = text(table, "aavso").splitlines()
    assert len(lines) == 9
    assert all(len(line.split(",")) == AAVSO_COLUMNS for line in lines[7:])


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
        np.testing.assert_array_equal(curve.data["FLUX"], [1.0, 0.98, 1.0, 1.0, np.nan, -0.1])
        np.testing.assert_array_equal(curve.data["QUALITY"] == 0, table["usable"])
        assert curve.data["QUALITY"][3] & ~NOT_USABLE == 4


@pytest.mark.parametrize("name", ["aavso", "exoclock", "etd", "lightkurve"])
def test_several_apertures_and_nothing_usable_are_refused(table: Table, tmp_path: Path, name: str) -> None:
    table["usable"][:] = False
    with pytest.raises(DataError, match="none of the 6 points is usable"):
        write_file(table, tmp_path / "curve", name)
    table["aperture"][0] = 0
    with pytest.raises(ConfigurationError, match="2 apertures: this format takes one"):
        write_file(table, tmp_path / "curve", name)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_offers_every_format() -> None:
    assert get_args(Format) == tuple(WRITERS)
