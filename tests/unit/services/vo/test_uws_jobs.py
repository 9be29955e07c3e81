"""Jobs that are answered while nobody waits."""

import io
import xml.etree.ElementTree as ET
from typing import Any

from astropy.io.votable import parse_single_table
from starlette.applications import Starlette
from starlette.testclient import TestClient

from services.vo.query_limits import QueryLimits
from services.web.guard import Guard, Rules
from tests.unit.services.vo.solved_night import STARS, reading_engine, routes_of

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
STARS_WANTED = "SELECT source_id, ra, dec FROM tianyu.source_catalog"
ENDLESS = (
    "SELECT COUNT(*) FROM light_curve AS a, light_curve AS b, light_curve AS c, light_curve AS d "
    "WHERE a.flag + b.flag + c.flag + d.flag > 1e9"
)


def created(client: TestClient, adql: str, **more: str) -> str:
    answer = client.post("/tap/async", data={"QUERY": adql, "LANG": "ADQL", **more}, follow_redirects=False)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def job(client: TestClient, address: str, **more: Any) -> ET.Element:
    return ET.fromstring(client.get(address, params=more).content)


def phase(client: TestClient, address: str) -> str:
    return str(job(client, address, WAIT=20).findtext(f"{UWS}phase"))


def ended(client: TestClient, address: str) -> str:
    """Its phase when it has ended; a wait ends at each change."""
    while (found := phase(client, address)) in ("QUEUED", "EXECUTING"):
        pass
    return found


def test_a_job_from_question_to_answer(client: TestClient) -> None:
    address = created(client, STARS_WANTED, RUNID="mine")
    assert client.get(f"{address}/phase").text == "PENDING"
    assert client.get(f"{address}/results/result").status_code == 404
    client.post(f"{address}/parameters", data={"MAXREC": "7"})
    client.post(f"{address}/executionduration", data={"EXECUTIONDURATION": "30"})
    assert client.get(f"{address}/executionduration").text == "30"
    client.post(f"{address}/phase", data={"PHASE": "RUN"})
    assert ended(client, address) == "COMPLETED"
    told = job(client, address)
    assert told.findtext(f"{UWS}runId") == "mine"
    [result] = told.findall(f"{UWS}results/{UWS}result")
    content = client.get(result.attrib["{http://www.w3.org/1999/xlink}href"]).content
    assert len(parse_single_table(io.BytesIO(content)).array) == 7
    assert client.post(f"{address}/parameters", data={"MAXREC": "8"}).status_code == 400
    listed = ET.fromstring(client.get("/tap/async", params={"PHASE": "COMPLETED", "LAST": 1}).content)
    assert [one.attrib["id"] for one in listed] == [address.rpartition("/")[2]]
    assert client.delete(address, follow_redirects=False).status_code == 303
    assert client.get(address).status_code == 404


def test_an_answer_can_be_asked_again(client: TestClient) -> None:
    address = created(client, STARS_WANTED, PHASE="RUN")
    assert ended(client, address) == "COMPLETED"
    upload = f"mine,{address}/results/result"
    answer = client.post("/tap/sync", data={"QUERY": "SELECT COUNT(*) FROM TAP_UPLOAD.mine", "UPLOAD": upload})
    assert parse_single_table(io.BytesIO(answer.content)).array.tolist() == [(STARS,)]


def test_an_error_is_the_jobs(client: TestClient) -> None:
    address = created(client, "SELECT nothing FROM tianyu.frame", PHASE="RUN")
    assert ended(client, address) == "ERROR"
    assert "no column" in str(job(client, address).findtext(f"{UWS}errorSummary/{UWS}message"))
    assert b"no column" in client.get(f"{address}/error").content


def test_a_job_ends_when_it_is_told_to(client: TestClient) -> None:
    address = created(client, ENDLESS, PHASE="RUN")
    client.post(f"{address}/phase", data={"PHASE": "ABORT"})
    assert phase(client, address) == "ABORTED"
    again = created(client, STARS_WANTED, PHASE="RUN")
    assert ended(client, again) == "COMPLETED"


def test_a_job_ends_at_its_limit_and_many_are_not_kept(night_url: str) -> None:
    engine = reading_engine(night_url)
    limits = QueryLimits(job_seconds=0.3, jobs=2)
    client = TestClient(Starlette(routes=routes_of(engine, limits)))
    address = created(client, ENDLESS, PHASE="RUN")
    assert ended(client, address) == "ERROR"
    assert b"takes longer than 0.3 s" in client.get(f"{address}/error").content
    created(client, STARS_WANTED)
    assert client.post("/tap/async", data={"QUERY": STARS_WANTED}).status_code == 503
    client.post(f"{address}/destruction", data={"DESTRUCTION": "2020-01-01T00:00:00Z"})
    assert client.get(address).status_code == 404
    engine.dispose()


def test_a_job_is_its_askers_alone(night_url: str) -> None:
    engine = reading_engine(night_url)
    app = Guard(Starlette(routes=routes_of(engine, QueryLimits())), Rules(names=None, writing=("/tap/",)))
    anna, bert = TestClient(app), TestClient(app)
    for client, name in ((anna, "anna"), (bert, "bert")):
        client.auth = (name, "any")
    address = created(anna, STARS_WANTED, PHASE="RUN")
    assert ended(anna, address) == "COMPLETED"
    assert anna.get(f"{address}/owner").text == job(anna, address).findtext(f"{UWS}ownerId") == "anna"
    assert bert.get(address).status_code == bert.delete(address).status_code == 404
    assert bert.get(f"{address}/results/result").status_code == TestClient(app).get(address).status_code == 404
    upload = {"QUERY": "SELECT COUNT(*) FROM TAP_UPLOAD.mine", "UPLOAD": f"mine,{address}/results/result"}
    assert [client.post("/tap/sync", data=upload).status_code for client in (anna, bert)] == [200, 404]
    assert [len(ET.fromstring(client.get("/tap/async").content)) for client in (anna, bert)] == [1, 0]
    engine.dispose()


def test_uploads_and_results_of_jobs_have_limits(night_url: str) -> None:
    engine = reading_engine(night_url)
    limits = QueryLimits(job_upload_bytes=1000, job_result_bytes=8000)
    client = TestClient(Starlette(routes=routes_of(engine, limits)))
    answers = [
        client.post("/tap/async", data={"QUERY": STARS_WANTED}, files={"mine": bytes(600)}, follow_redirects=False)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [303, 503]
    client.post(f"{answers[0].headers['location']}/phase", data={"PHASE": "RUN"})
    assert ended(client, answers[0].headers["location"]) == "COMPLETED"  # and its upload is not kept any longer
    address = created(client, "SELECT * FROM light_curve", PHASE="RUN")
    assert ended(client, address) == "ERROR"
    assert b"as much of the disk" in client.get(f"{address}/error").content
    engine.dispose()
