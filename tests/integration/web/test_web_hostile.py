"""What strangers ask to do harm: each gets a sentence, nothing is changed, and the service answers afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from schema.photometry import Flux
from schema.skies import Source
from services.settings import Settings
from services.vo.query_limits import QueryLimits
from services.vo.vo_routes import WRITING, VoServices
from services.web.application import application
from services.web.guard import Rules
from services.web.served import Served
from tests.integration.web.asking import HERE
from tests.unit.services import made_up

SECONDS = 0.5  # that a question may take here
ENDLESS = (
    "SELECT COUNT(*) FROM light_curve AS a, light_curve AS b, light_curve AS c, light_curve AS d "
    "WHERE a.flag + b.flag + c.flag + d.flag > 1e9"
)
WRITING_ADQL = (
    "DELETE FROM tianyu.light_curve",
    "UPDATE tianyu.source_catalog SET ra = 0",
    "INSERT INTO flux SELECT * FROM flux",
    "DROP TABLE flux",
    "SELECT ra FROM source_catalog; DELETE FROM flux",
    "SELECT ra FROM source_catalog INTO OUTFILE '/tmp/x'",
    "SET SESSION TRANSACTION READ WRITE",
    "PRAGMA query_only = OFF",
)
OTHERS_ADQL = (
    "SELECT * FROM process",
    "SELECT * FROM mysql.user",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT path FROM frame",
    "SELECT LOAD_FILE('/etc/passwd') FROM frame",
    "SELECT s.ra FROM source_catalog AS s JOIN process AS p ON p.pid = s.source_id",
)
NUMBERS = ("0", "999999999", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 400)
PAGES = (
    *("/star/{}", "/star/{}/curve.json", "/star/{}/period.json", "/star/{}/curve.csv", "/observation/{}", "/frame/{}"),
    *("/observation/{}/field", "/observation/{}/frames.json", "/observation/{}/stars.json", "/process/{}"),
    *("/observation/{}/candidates", "/observation/{}/graph", "/image/{}/0/0/0.png", "/image/999999999/{0}/{0}/{0}.png"),
)
NO_NUMBERS = ("-1", "1e3", "0x10", "1.5", "NaN", "１７", "%00", "..%2f..%2fetc%2fpasswd", "17;DROP TABLE flux", "'")


@pytest.fixture
def asked(
    any_session: Session, each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The whole service, on each kind of database; questions may not take long, so that tests do not."""
    made_up.add_light_curves(any_session, made_up.add_observation(any_session), np.random.default_rng(1))
    any_session.commit()
    settings = Settings(database_url=SecretStr(each_ready_url), root=tmp_path)
    monkeypatch.setattr("services.vo.vo_routes.limits_of", lambda _: QueryLimits(seconds=SECONDS))
    served, tables = Served.open(settings), VoServices.open(settings)
    try:
        with TestClient(application(served, Rules(writing=WRITING), tables.routes), base_url=HERE) as client:
            yield client
    finally:
        served.close()
        tables.close()


def tap(client: TestClient, adql: str, **more: Any) -> Any:
    return client.get("/tap/sync", params={"QUERY": adql, "LANG": "ADQL", **more})


def test_each_gets_a_sentence_and_nothing_changes(asked: TestClient, any_session: Session) -> None:
    """One test of all, since a database for each would take longer than the questions."""
    counts = select(select(func.count()).select_from(Flux).scalar_subquery(), func.sum(Source.x))
    before = any_session.execute(counts).one()
    any_session.rollback()
    for adql in (*WRITING_ADQL, *OTHERS_ADQL):
        answer = tap(asked, adql)
        assert answer.status_code == 400, adql
        assert 'value="ERROR"' in answer.text, adql
        assert "Traceback" not in answer.text, adql
    for page in PAGES:
        for number in NUMBERS:
            answer = asked.get(page.format(number))
            assert answer.status_code == 404, (page, number)
            assert answer.text, (page, number)
        for word in NO_NUMBERS:
            assert asked.get(page.format(word)).status_code == 404, (page, word)
    _what_would_run_for_hours(asked, is_sqlite=any_session.get_bind().dialect.name == "sqlite")
    assert any_session.execute(counts).one() == before
    assert asked.get("/").status_code == 200


def _what_would_run_for_hours(asked: TestClient, *, is_sqlite: bool) -> None:
    answer = tap(asked, ENDLESS)
    assert answer.status_code == 400
    words = [f"takes longer than {SECONDS:g} s"]
    if not is_sqlite:  # a server refuses what it thinks is too much, unless its plan alone takes longer
        words.append("looks at more rows than it may")
    assert any(one in answer.text for one in words)
    for parameters in ("RA=1e400&DEC=0&SR=1", "RA=0&DEC=0&SR=1e9", "RA=0&DEC=91&SR=1", "RA=nan&DEC=0&SR=1"):
        assert asked.get(f"/scs?{parameters}").status_code == 400, parameters
    long = "SELECT ra FROM source_catalog WHERE " + " OR ".join(f"source_id = {n}" for n in range(2_000))
    if is_sqlite:  # which takes a thousand
        answer = tap(asked, long)
        assert answer.status_code == 400
        assert "more parts than the database takes" in answer.text
    rows = b"<TR><TD>1</TD></TR>" * (QueryLimits().upload_rows + 1)
    table = b'<VOTABLE><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA><TABLEDATA>%s</TABLEDATA></DATA></TABLE>'
    sent = {"t": ("t.vot", table % rows + b"</RESOURCE></VOTABLE>", "application/x-votable+xml")}
    answer = asked.post("/tap/sync", data={"QUERY": "SELECT a FROM TAP_UPLOAD.t", "UPLOAD": "t,param:t"}, files=sent)
    assert answer.status_code == 400
    assert "more than 20000 rows" in answer.text
