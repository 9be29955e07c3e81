"""Every format gives back the numbers, the units and the facts that went in."""

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.table import MaskedColumn, Table
from pyarrow import parquet

from services.errors import ConfigurationError
from services.results.lightcurves.export import FORMATS, write_file, write_stream

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


def test_facts_and_units_of_parquet(table: Table, tmp_path: Path) -> None:
    write_file(table, tmp_path / "curve", "parquet")
    schema = parquet.read_schema(tmp_path / "curve")
    assert schema.metadata[b"target"] == "Proxima é\n".encode()
    assert schema.field("flux_raw").metadata == {b"description": b"aperture flux", b"unit": b"adu"}


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
