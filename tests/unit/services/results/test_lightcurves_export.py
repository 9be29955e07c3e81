"""Every format gives back the numbers, the units and the facts that went in."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import MaskedColumn, Table
from pyarrow import parquet

from services.errors import ConfigurationError
from services.results.lightcurves.export import FORMATS, format_of, write_file, write_stream
from tests.servers import programs

VALIDATION_S = 120.0

META = {
    "observation": 3,
    "target": "Proxima é\n",
    "filter": "R",
    "source": 17,
    "x": 12.25,
    "y": 8.5,
    "aperture_radius_px": "4.5",
    "calibration_method": "ensemble",
}


@pytest.fixture
def table() -> Table:
    result = Table(meta=META)
    result["image_id"] = MaskedColumn(np.array([2**40, 2, 3]))
    result["bjd_tdb"] = MaskedColumn([2460374.123456789, 2460374.2, 2460374.3], mask=[0, 0, 1], unit="d")
    result["flux_raw"] = MaskedColumn([1 / 3, 2.0, 3.0], unit="adu", description="aperture flux")
    result["reference_group"] = MaskedColumn([1, 2, 3], mask=[0, 1, 0])
    result["image_good"] = MaskedColumn([True, False, True])
    result["method"] = MaskedColumn(["ensemble", "paper", "ensemble"])
    return result


READERS = {
    "csv": lambda path: Table.read(path, format="ascii.csv"),
    "ecsv": lambda path: Table.read(path, format="ascii.ecsv"),
    "fits": lambda path: Table.read(path, format="fits"),
    "votable": lambda path: parse(path, verify="exception").get_first_table().to_table(use_names_over_ids=True),
    "parquet": lambda path: Table({name: _masked(values) for name, values in _columns(path).items()}),
}


def _columns(path: Path) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = parquet.read_table(path).to_pydict()
    return columns


def _masked(values: list[object]) -> MaskedColumn:
    filler = next(value for value in values if value is not None)
    return MaskedColumn([filler if value is None else value for value in values], mask=[v is None for v in values])


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_survive(table: Table, tmp_path: Path, name: str) -> None:
    path = tmp_path / "curve"
    write_file(table, path, name)
    back = READERS[name](path)
    assert back.colnames == table.colnames
    assert back["image_id"][0] == 2**40
    assert back["flux_raw"][0] == 1 / 3
    assert back["bjd_tdb"][0] == 2460374.123456789
    assert np.ma.getmaskarray(np.ma.masked_invalid(back["bjd_tdb"])).tolist() == [False, False, True]
    assert np.ma.getmaskarray(np.ma.asarray(back["reference_group"])).tolist() == [False, True, False]
    assert [str(value) for value in back["image_good"]] == ["True", "False", "True"]
    assert [str(value) for value in back["method"]] == ["ensemble", "paper", "ensemble"]
    assert [file.name for file in tmp_path.iterdir()] == ["curve"]


@pytest.mark.parametrize("name", ["ecsv", "fits", "votable"])
def test_units_survive(table: Table, tmp_path: Path, name: str) -> None:
    write_file(table, tmp_path / "curve", name)
    back = READERS[name](tmp_path / "curve")
    assert (back["bjd_tdb"].unit, back["flux_raw"].unit) == ("d", "adu")


def test_facts_of_ecsv(table: Table, tmp_path: Path) -> None:
    write_file(table, tmp_path / "curve", "ecsv")
    assert dict(READERS["ecsv"](tmp_path / "curve").meta) == META


def test_facts_of_fits(table: Table, tmp_path: Path) -> None:
    write_file(table, tmp_path / "curve", "fits")
    meta = READERS["fits"](tmp_path / "curve").meta
    assert (meta["OBJECT"], meta["SOURCEID"], meta["XPIX"], meta["CALMETH"]) == (
        "Proxima \\xe9\\n",
        17,
        12.25,
        "ensemble",
    )


def test_facts_of_votable(table: Table, tmp_path: Path) -> None:
    write_file(table, tmp_path / "curve", "votable")
    parameters = {p.name: p.value for p in parse(tmp_path / "curve").get_first_table().params}
    assert (parameters["target"], parameters["observation"], parameters["y"]) == ("Proxima \\xe9\\n", 3, 8.5)


def test_rows_of_votable_are_binary(table: Table, tmp_path: Path) -> None:
    """As text they go through a writer of Astropy's that destroys memory behind rows of some lengths."""
    write_file(table, tmp_path / "lc.vot", "votable")
    content = (tmp_path / "lc.vot").read_bytes()
    assert b"<BINARY2>" in content
    assert b"<TABLEDATA>" not in content


def test_facts_and_units_of_parquet(table: Table, tmp_path: Path) -> None:
    write_file(table, tmp_path / "curve", "parquet")
    schema = parquet.read_schema(tmp_path / "curve")
    assert schema.metadata[b"target"] == "Proxima é\n".encode()
    told = {b"description": b"aperture flux", b"unit": b"adu", b"ucd": b"phot.count", b"system": b""}
    assert schema.field("flux_raw").metadata == told


def test_integers_of_fits_are_null_only_where_they_are_missing(table: Table, tmp_path: Path) -> None:
    """999999 is the number of an image, and astropy's own null."""
    table["image_id"] = MaskedColumn(np.array([999999, 2, 3]))
    table["reference_group"] = MaskedColumn([999999, -1, 3], mask=[0, 1, 0])
    table["below"] = MaskedColumn(np.array([-1, 2, 3], dtype=np.int32), mask=[0, 1, 0])
    write_file(table, tmp_path / "curve.fits", "fits")
    header = fits.getheader(tmp_path / "curve.fits", 1)
    nulls = {header[f"TTYPE{card[5:]}"]: value for card, value in header.items() if card.startswith("TNULL")}
    assert nulls == {"reference_group": -1, "below": -(2**31)}
    back = Table.read(tmp_path / "curve.fits")
    assert back["image_id"].tolist() == [999999, 2, 3]
    assert back["reference_group"].tolist() == [999999, None, 3]


def test_fits_says_what_columns_mean_and_whose_clock_counts(table: Table, tmp_path: Path) -> None:
    table["jd_utc"] = MaskedColumn([2460374.1, 2460374.2, 2460374.3], unit="d", description="when")
    table.meta |= {"telescope": "T30", "exposure_s": 30.0, "tianyu_version": "1.2", "calibration_pid": 17 * 10**17}
    table.meta["choices"] = '{"apertures": "%s"}' % ("1 " * 100)
    write_file(table, tmp_path / "curve.fits", "fits")
    with fits.open(tmp_path / "curve.fits", checksum=True) as hdus:
        hdus.verify("exception")
        header = hdus[1].header
        names = hdus[1].columns.names
    assert (header["TIMESYS"], header["TREFPOS"], header["JDREF"], header["RADESYS"]) == (
        "TDB",
        "BARYCENTER",
        0,
        "ICRS",
    )
    assert (header["TELESCOP"], header["EXPTIME"], header["FILTER"]) == ("T30", 30.0, "R")
    assert (header["TIANYUVE"], header["CALPID"]) == ("1.2", 17 * 10**17)
    assert header["CHOICES"] == table.meta["choices"]
    clocks = {name: (header.get(f"TCTYP{n}"), header.get(f"TRPOS{n}")) for n, name in enumerate(names, 1)}
    assert clocks["bjd_tdb"] == ("TDB", "BARYCENTER")
    assert clocks["jd_utc"] == ("UTC", "TOPOCENTER")
    number = names.index("flux_raw") + 1
    told = header[f"TUNIT{number}"], header[f"TCOMM{number}"], header[f"TUCD{number}"]
    assert told == ("adu", "aperture flux", "phot.count")


@pytest.mark.parametrize("nights", [1, 2])
def test_votlint_finds_nothing(table: Table, tmp_path: Path, stilts: str, nights: int) -> None:
    """Of several nights a column has the name of a fact, and texts are of one letter."""
    if nights == 2:
        table["filter"] = MaskedColumn(["R", "V", "R"])
        table.meta["night"] = "2024-03-04; 2024-03-05"
    table["method"] = MaskedColumn(["e<\x00", "", "é"])
    table.meta |= {"ra_deg": 31.0, "dec_deg": 46.0, "masters": "", "calibration_pid": 17 * 10**17}
    write_file(table, tmp_path / "curve.vot", "votable")
    assert programs.run([stilts, "votlint", str(tmp_path / "curve.vot")], VALIDATION_S).strip() == ""
    words = (tmp_path / "curve.vot").read_text(encoding="utf-8")
    assert 'refposition="BARYCENTER"' in words
    assert '<COOSYS ID="icrs"' in words
    [field] = [line for line in words.splitlines() if 'name="bjd_tdb"' in line]
    assert 'ref="tdb"' in field
    assert 'ucd="time.epoch"' in field


@pytest.mark.parametrize(
    ("name", "wanted", "told"),
    [
        ("star.fits", None, "fits"),
        ("star.FIT", None, "fits"),
        ("star.vot", None, "votable"),
        ("star.xml", None, "votable"),
        ("star.pq", None, "parquet"),
        ("star.csv", None, "csv"),
        ("star.txt", "aavso", "aavso"),
        ("star.fits", "lightkurve", "lightkurve"),
        ("star", "fits", "fits"),
        ("star", None, "csv"),
        ("-", None, "csv"),
        ("/dev/null", "etd", "etd"),
        (None, None, "csv"),
    ],
)
def test_a_files_name_tells_its_format(name: str | None, wanted: str | None, told: str) -> None:
    assert format_of(None if name is None else Path(name), wanted) == told


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("star.xlsx", None, "tells no format: let it end in .csv, .ecsv, .fits, .vot, .parquet, or say --format"),
        ("star.txt", None, "tells no format"),
        ("star.fits", "csv", "format csv does not go with the name 'star.fits': expected an end of .csv"),
        ("star.dat", "aavso", "expected an end of .txt, .csv, .tsv"),
    ],
)
def test_a_name_that_tells_another_format_is_refused(name: str, wanted: str | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        format_of(Path(name), wanted)


def test_text_formats_go_to_a_stream(table: Table) -> None:
    stream = io.StringIO()
    write_stream(table, stream, "csv")
    assert stream.getvalue().splitlines()[:2] == [
        "image_id,bjd_tdb,flux_raw,reference_group,image_good,method",
        "1099511627776,2460374.123456789,0.3333333333333333,1,True,ensemble",
    ]


def test_binary_formats_need_a_file(table: Table) -> None:
    with pytest.raises(ConfigurationError, match="'fits' needs a file"):
        write_stream(table, io.StringIO(), "fits")


def test_unknown_format(table: Table, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="'xlsx' is unknown: expected one of csv, ecsv, fits, votable, parquet"
    ):
        write_file(table, tmp_path / "curve", "xlsx")


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_that_is_not_there(table: Table, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        write_file(table, tmp_path / "missing" / "curve", name)


def test_an_old_file_is_replaced_only_by_a_whole_one(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "curve.csv"
    write_file(table, path, "csv")
    before = path.read_text()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "write", full_disk)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        write_file(table, path, "csv")
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
