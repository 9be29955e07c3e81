"""TAP over HTTP: documents that others can read, limits that are told, and errors that tell nothing else."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse as parse_votable
from astropy.io.votable import parse_single_table
from astropy.table import Table
from starlette.applications import Starlette
from starlette.testclient import TestClient

from services.vo.query_limits import QueryLimits
from services.vo.tap_examples import EXAMPLES
from tests.unit.services.vo.solved_night import FRAMES, STARS, reading_engine, routes_of

STARS_WANTED = "SELECT source_id, ra, gaia_g_mag, same_as FROM tianyu.source_catalog ORDER BY source_id"
TEXTS = (
    "SELECT s.source_id, o.target, o.night, s.gaia_g_mag, s.x FROM observation AS o, source_catalog AS s "
    "ORDER BY s.source_id"
)
ENDLESS = (
    "SELECT COUNT(*) FROM light_curve AS a, light_curve AS b, light_curve AS c, light_curve AS d "
    "WHERE a.flag + b.flag + c.flag + d.flag > 1e9"
)


def ask(client: TestClient, adql: str, **more: Any) -> Any:
    return client.get("/tap/sync", params={"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": adql, **more})


def status(content: bytes) -> list[str]:
    """Values of QUERY_STATUS of a VOTable, in their order."""
    [resource] = [one for one in parse_votable(io.BytesIO(content)).resources if one.type == "results"]
    return [one.value for one in resource.infos if one.name == "QUERY_STATUS"]


def test_each_format_has_the_same_rows(client: TestClient) -> None:
    answers = {
        name: ask(client, TEXTS, RESPONSEFORMAT=name) for name in ("votable", "votable/b2", "csv", "tsv", "fits")
    }
    assert {one.status_code for one in answers.values()} == {200}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (
            parse_single_table(io.BytesIO(answers[name].content), verify="exception").to_table()
            for name in ("votable", "votable/b2")
        )
    assert len(first) == STARS
    assert (first["target"] == "HAT-P-32").all()
    assert (first["night"] == "2024-03-04").all()
    assert [bool(one) for one in first["gaia_g_mag"].mask].count(False) == 1
    assert first.colnames == ["source_id", "target", "night", "gaia_g_mag", "x"]
    assert first["x"].unit == "pixel"
    csv = Table.read(answers["csv"].text, format="ascii.csv")
    tsv = Table.read(answers["tsv"].text, format="ascii.tab")
    binary = Table.read(fits.open(io.BytesIO(answers["fits"].content))[1])
    for other in (second, csv, tsv, binary):
        assert other.colnames == first.colnames
        for name in ("source_id", "x"):
            assert np.array_equal(np.asarray(other[name]), np.asarray(first[name]))
        assert [str(one) for one in other["target"]] == [str(one) for one in first["target"]]
        assert other["gaia_g_mag"].filled(0).tolist() == first["gaia_g_mag"].filled(0).tolist()


def test_a_document_says_by_what_its_numbers_count(client: TestClient) -> None:
    content = ask(
        client, "SELECT l.bjd_tdb, l.jd_utc, s.ra FROM light_curve AS l JOIN source_catalog AS s USING (source_id)"
    ).content
    document = parse_votable(io.BytesIO(content))
    [tdb, utc] = document.time_systems
    assert (tdb.timescale, tdb.refposition, tdb.timeorigin) == ("TDB", "BARYCENTER", "JD-origin")
    assert utc.timescale == "UTC"
    [system] = document.coordinate_systems
    assert system.system == "ICRS"
    fields = document.get_first_table().fields
    assert [one.ref for one in fields] == ["tdb", "utc", "icrs"]
    assert [one.ucd for one in fields] == ["time.epoch", "time.epoch", "pos.eq.ra;meta.main"]
    infos = {one.name: one.value for one in document.resources[0].infos}
    assert infos["server_software"].startswith("Tianyu/")


@pytest.mark.parametrize("serialization", ["votable", "votable/b2"])
def test_rows_beyond_the_limit_are_told(client: TestClient, serialization: str) -> None:
    def rows_and_status(adql: str, **more: Any) -> tuple[int, list[str]]:
        content = ask(client, adql, RESPONSEFORMAT=serialization, **more).content
        return len(parse_single_table(io.BytesIO(content)).array), status(content)

    assert rows_and_status(STARS_WANTED, MAXREC=5) == (5, ["OK", "OVERFLOW"])
    assert rows_and_status(STARS_WANTED, MAXREC=STARS) == (STARS, ["OK"])
    assert rows_and_status(STARS_WANTED, MAXREC=0) == (0, ["OK", "OVERFLOW"])
    assert rows_and_status("SELECT TOP 3 * FROM tianyu.source_catalog", MAXREC=5) == (3, ["OK"])
    assert rows_and_status("SELECT TOP 9 * FROM tianyu.source_catalog", MAXREC=5) == (5, ["OK", "OVERFLOW"])
    assert rows_and_status("SELECT ra FROM tianyu.source_catalog WHERE ra < 0") == (0, ["OK"])


def test_no_one_gets_more_than_the_most(night_url: str) -> None:
    engine = reading_engine(night_url)
    limits = QueryLimits(rows=4, rows_most=7, seconds=0.5)
    client = TestClient(Starlette(routes=routes_of(engine, limits)))
    for asked, wanted in (("", 4), ("7", 7), ("1000000", 7)):
        content = ask(client, STARS_WANTED, MAXREC=asked).content
        assert len(parse_single_table(io.BytesIO(content)).array) == wanted
        assert status(content)[-1] == "OVERFLOW"
    endless = ask(client, ENDLESS)
    assert endless.status_code == 400
    assert b"takes longer than 0.5 s" in endless.content
    assert status(endless.content) == ["ERROR"]
    assert ask(client, STARS_WANTED).status_code == 200  # the connection answers again
    engine.dispose()


def test_bytes_beyond_the_limit_are_told(night_url: str) -> None:
    engine = reading_engine(night_url)
    client = TestClient(Starlette(routes=routes_of(engine, QueryLimits(bytes_most=100_000))))
    content = ask(client, "SELECT * FROM light_curve").content
    assert 0 < len(parse_single_table(io.BytesIO(content)).array) < STARS * FRAMES * 3
    assert status(content) == ["OK", "OVERFLOW"]
    engine.dispose()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, "QUERY is missing"),
        ({"QUERY": "SELECT ra FROM"}, "cannot be read"),
        ({"QUERY": STARS_WANTED, "LANG": "PQL"}, "LANG"),
        ({"QUERY": STARS_WANTED, "REQUEST": "getCapabilities"}, "REQUEST"),
        ({"QUERY": STARS_WANTED, "MAXREC": "-1"}, "MAXREC"),
        ({"QUERY": STARS_WANTED, "RESPONSEFORMAT": "docx"}, "RESPONSEFORMAT"),
        ({"QUERY": [STARS_WANTED, STARS_WANTED]}, "given 2 times"),
        ({"QUERY": STARS_WANTED, "UPLOAD": "t,http://169.254.169.254/latest"}, "not fetched"),
        ({"QUERY": STARS_WANTED, "UPLOAD": "t,file:///etc/passwd"}, "not fetched"),
        ({"QUERY": STARS_WANTED, "UPLOAD": "t,param:x"}, "no part"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(client: TestClient, parameters: dict[str, Any], why: str) -> None:
    answer = client.get("/tap/sync", params=parameters)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    assert status(answer.content) == ["ERROR"]
    assert why in answer.text
    assert "Traceback" not in answer.text


def test_an_error_of_the_database_tells_no_secret(night_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("none") / "secret-name.db"
    engine = reading_engine(f"sqlite:///{nowhere}")
    answer = ask(TestClient(Starlette(routes=routes_of(engine, QueryLimits()))), STARS_WANTED)
    assert answer.status_code == 503
    assert "secret-name" not in answer.text
    assert "source_catalog" not in answer.text
    engine.dispose()


def test_uploaded_stars_are_matched(client: TestClient) -> None:
    stars = parse_single_table(io.BytesIO(ask(client, STARS_WANTED).content)).to_table()[:5]
    wanted = Table(
        {"name": ["a", "b", "c", "d", "ünknown"], "ra": stars["ra"], "dec": [46.7] * 5, "n": [1, 2, 3, 4, 5]}
    )
    wanted["ra"][4] = 200.0
    sent = io.BytesIO()
    wanted.write(sent, format="votable")
    adql = (
        "SELECT u.name, u.n, s.source_id FROM TAP_UPLOAD.mine AS u JOIN tianyu.source_catalog AS s "
        "ON ABS(s.ra - u.ra) < 0.000001 ORDER BY u.n"
    )
    answer = client.post(
        "/tap/sync",
        data={"QUERY": adql, "UPLOAD": "mine,param:table"},
        files={"table": ("t.vot", sent.getvalue(), "application/x-votable+xml")},
    )
    found = parse_single_table(io.BytesIO(answer.content)).to_table()
    assert [str(one) for one in found["name"]] == ["a", "b", "c", "d"]
    assert found["source_id"].tolist() == stars["source_id"].tolist()[:4]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no table", "cannot be read"),
        (b"<VOTABLE>" * 5, "cannot be read"),
        (b'<!DOCTYPE x [<!ENTITY e "boom">]><VOTABLE>&e;</VOTABLE>', "entity"),
        (
            b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA><BINARY>'
            b'<STREAM href="file:///etc/passwd"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>',
            "lie elsewhere",
        ),
        (
            b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="double" arraysize="2"/><DATA><TABLEDATA>'
            b"<TR><TD>1 2</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>",
            "no number and no text",
        ),
    ],
)
def test_an_upload_that_cannot_be_used_is_refused(client: TestClient, content: bytes, why: str) -> None:
    answer = client.post(
        "/tap/sync", data={"QUERY": "SELECT * FROM TAP_UPLOAD.t", "UPLOAD": "t,param:x"}, files={"x": ("x", content)}
    )
    assert answer.status_code == 400
    assert why in answer.text


def test_an_upload_that_is_too_large_is_not_read(night_url: str) -> None:
    engine = reading_engine(night_url)
    client = TestClient(Starlette(routes=routes_of(engine, QueryLimits(upload_bytes=1000))))
    answer = client.post("/tap/sync", data={"QUERY": "SELECT 1 FROM frame"}, files={"x": ("x", b"x" * 1_100_000)})
    assert answer.status_code == 413
    engine.dispose()


def test_the_tables_describe_themselves(client: TestClient) -> None:
    columns = ask(
        client, 'SELECT table_name, column_name, ucd, unit FROM TAP_SCHEMA.columns WHERE "size" IS NULL'
    ).content
    rows = parse_single_table(io.BytesIO(columns)).to_table()
    named = {(str(row["table_name"]), str(row["column_name"])) for row in rows}
    assert ("tianyu.light_curve", "bjd_tdb") in named
    assert ("tianyu.frame", "path") not in named
    assert ("TAP_SCHEMA.columns", '"size"') in named
    for name in sorted({table for table, _ in named if table.startswith("tianyu.")}):
        answer = ask(client, f"SELECT TOP 1 * FROM {name}")
        fields = [one.name for one in parse_single_table(io.BytesIO(answer.content)).fields]
        assert fields == [str(row["column_name"]) for row in rows if row["table_name"] == name]


@pytest.mark.parametrize("adql", [adql for _, adql in EXAMPLES])
def test_examples_are_answered(client: TestClient, adql: str) -> None:
    assert ask(client, adql).status_code == 200
    assert 'typeof="example"' in client.get("/tap/examples").text


def test_stars_in_a_cone(client: TestClient) -> None:
    content = client.get("/scs", params={"RA": 31.0, "DEC": 46.7, "SR": 0.02}).content
    table = parse_single_table(io.BytesIO(content))
    assert [one.ucd for one in table.fields][:3] == ["ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"]
    distances = table.to_table()["distance"].tolist()
    assert 0 < len(distances) < STARS
    assert distances == sorted(distances)
    assert max(distances) <= 0.02
    assert len(parse_single_table(io.BytesIO(client.get("/scs?RA=31&DEC=46.7&SR=0").content)).array) == 0
    assert len(parse_single_table(io.BytesIO(client.get("/scs?RA=31&DEC=46.7&SR=1&VERB=3").content)).fields) > 10
    for wrong in ("RA=x&DEC=1&SR=1", "RA=1&DEC=91&SR=1", "RA=1&DEC=1", "RA=1&DEC=1&SR=nan", "RA=1&DEC=1&SR=1&VERB=9"):
        assert client.get(f"/scs?{wrong}").status_code == 400
