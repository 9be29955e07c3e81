"""VOTables whose data lie elsewhere are refused: nothing is fetched, and no file is opened."""

import gzip
import urllib.request
from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.sky.catalogue.catalogue_protocol import CatalogueOutage
from services.sky.catalogue.own_table import FileCatalogue
from services.sky.catalogue.tap import _parse
from services.sky.catalogue.votables import ElsewhereError, require_own_data

FIELDS = "".join(f'<FIELD name="{name}" datatype="double"/>' for name in ("source_id", "ra", "dec", "phot_g_mean_mag"))


def table(data: str, before: str = "", encoding: str = "utf-8") -> bytes:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>{before}<VOTABLE version="1.4" '
        f'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>{FIELDS}<DATA>{data}</DATA></TABLE>'
        "</RESOURCE></VOTABLE>"
    )
    return text.encode(encoding)


ENTITY = '<!DOCTYPE VOTABLE [<!ENTITY s "&#60;STREAM href=&#39;file:///etc/passwd&#39;/&#62;">]>'
ELSEWHERE = {
    "http": table('<BINARY><STREAM href="http://127.0.0.1:9/x"/></BINARY>'),
    "a file": table('<BINARY2><STREAM encoding="base64" href="file:///etc/passwd"/></BINARY2>'),
    "fits": table('<FITS><STREAM href="ftp://127.0.0.1/x.fits"/></FITS>'),
    "utf-16": table('<BINARY><STREAM href="file:///etc/passwd"/></BINARY>', encoding="utf-16"),
    "a prefix": table('<BINARY><v:STREAM xmlns:v="v" v:href="file:///etc/passwd"/></BINARY>'),
    "an entity": table("<BINARY>&s;</BINARY>", ENTITY),
}


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was fetched."""
    asked: list[object] = []

    def fetch(address: object, *_: object, **__: object) -> None:
        asked.append(address)
        raise OSError("fetched")

    monkeypatch.setattr(urllib.request, "urlopen", fetch)
    return asked


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_lies_elsewhere_is_refused(case: str) -> None:
    with pytest.raises(ElsewhereError, match=r"not followed|entity"):
        require_own_data(ELSEWHERE[case])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", ["http", "a file", "fits"])
def test_a_servers_answer_and_a_file_that_point_elsewhere(
    tmp_path: Path, opened: list[object], case: str, packed: bool
) -> None:
    content = gzip.compress(ELSEWHERE[case]) if packed else ELSEWHERE[case]
    with pytest.raises(CatalogueOutage, match=r"https://mirror sent a table that is not taken: .*is not followed"):
        _parse(content, "https://mirror")
    path = tmp_path / ("stars.vot.gz" if packed else "stars.vot")
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"stars\.vot.* cannot be read as vot: its data lie elsewhere"):
        FileCatalogue(path).all()
    assert opened == []


def test_data_inside_are_taken() -> None:
    rows = "<TABLEDATA><TR><TD>7</TD><TD>1.5</TD><TD>2.5</TD><TD>12</TD></TR></TABLEDATA>"
    inline = '<BINARY><STREAM encoding="base64">QBwAAAAAAAA/+AAAAAAAAEAEAAAAAAAAQCgAAAAAAAA=</STREAM></BINARY>'
    for data in (rows, inline):
        answer = _parse(table(data), "https://mirror")
        assert [float(answer.columns[name][0]) for name in ("source_id", "ra", "dec")] == [7.0, 1.5, 2.5]


def test_an_answer_that_unpacks_without_end_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sky.catalogue.tap.BYTES_MAX", 1000)
    with pytest.raises(CatalogueOutage, match=r"sent a broken archive of .* holds more than"):
        _parse(gzip.compress(bytes(1_000_000)), "https://mirror")
