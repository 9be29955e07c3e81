"""What came with files does nothing to a browser, nobody writes, and no error tells more than its sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from schema.found import Verdict
from schema.image import Image
from schema.observing import Instrument, Target
from schema.processes import Process, ProcessAttempt
from services.cli.app import app
from services.settings import Settings
from services.web.served import Served
from tests.integration.analysed_night import analyse
from tests.integration.web.asking import asking
from tests.ready_databases import ReadyDatabases
from tests.unit.services import made_up
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import GRAPH_PID, MadeUp

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)>'{{ 7*7 }}${7*7}&lt;\u202e\x1b[31m</script>"""
FAILED = GRAPH_PID + 500
PASSWORD = "hunter2"


class Tags(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def made(ready_databases: ReadyDatabases, tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeUp, Settings]:
    """A night with light curves, whose every name is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    url = ready_databases.copy_sqlite(folder / "night.db")
    with contextmanager(open_session)(url) as session:
        observation = made_up.add_observation(session, name=HOSTILE, filter_name=HOSTILE[:60])
        found = made_up.add_light_curves(session, observation, np.random.default_rng(1))
        made_up.add_process(session, FAILED, "extract", "failed", observation, error=HOSTILE, worker=HOSTILE)
        [frame] = made_up.add_frames(session, observation, 1)
        session.execute(update(Image).where(Image.image_id == frame).values(path=f"raw/{HOSTILE}", good=False))
        session.execute(update(Image).where(Image.image_id == frame).values(reject_reason=HOSTILE))
        session.execute(update(Verdict).where(Verdict.good.is_(False)).values(reason=HOSTILE))
        session.execute(update(ProcessAttempt).values(error=HOSTILE, traceback=HOSTILE, host=HOSTILE, worker=HOSTILE))
        session.execute(update(Process).where(Process.pid == FAILED).values(parameters=f'"{HOSTILE}"'))
        session.execute(update(Instrument).values(name=HOSTILE))
        session.commit()
        analyse(session, found, folder)
    return found, Settings(database_url=SecretStr(url), root=folder)


@pytest.fixture(scope="module")
def client(made: tuple[MadeUp, Settings]) -> Iterator[TestClient]:
    with asking(made[1]) as found:
        yield found


def pages(made: MadeUp) -> list[str]:
    number = made.observation_id
    return [
        *("/", "/candidates", "/work", f"/observation/{number}", f"/observation/{number}/field"),
        *(f"/observation/{number}/graph", f"/observation/{number}/candidates", f"/star/{made.variable}"),
        *(f"/frame/{made.image_ids[5]}", f"/process/{FAILED}", "/search"),
    ]


def test_names_are_text_on_every_page(made: tuple[MadeUp, Settings], client: TestClient) -> None:
    shows_it = 0
    for path in pages(made[0]):
        answer = client.get(path, params={"q": HOSTILE})
        assert answer.status_code in (200, 404), path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "\x1b" not in answer.text, path
        assert "\u202e" not in answer.text, path
        found = Tags(answer.text)
        assert all((attributes.get("src") or "/static/").startswith("/static/") for _, attributes in found.tags), path
        assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")], path
        shows_it += "<script>alert(1)</script>" in found.text
        assert "49" not in re.findall(r"\{\{ (.*?) \}\}|\$\{(.*?)\}", unescape(answer.text)), path
    assert shows_it >= 8


def test_names_are_values_of_json(made: tuple[MadeUp, Settings], client: TestClient) -> None:
    answer = client.get(f"/star/{made[0].variable}/curve.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    [curve] = answer.json()["curves"]
    assert HOSTILE in curve["title"]
    assert HOSTILE in curve["reasons"].values()


def test_a_drawing_runs_no_script_whatever_is_in_it(
    made: tuple[MadeUp, Settings], client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.web.process_pages.find_dot", lambda: "dot")
    monkeypatch.setattr("services.web.process_pages.render", lambda *_: "<svg><script>alert(1)</script></svg>")
    answer = client.get(f"/observation/{made[0].observation_id}/graph.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


@pytest.mark.parametrize("question", ["'", "x' OR '1'='1", "x'; DROP TABLE process; -- ", "%", "_", "\x00", "\ud83d"])
def test_a_question_is_a_value_in_sql(made: tuple[MadeUp, Settings], client: TestClient, question: str) -> None:
    answer = client.get("/search", params={"q": question.encode("utf-8", "surrogatepass")})
    assert answer.status_code == 404
    assert "no such" not in answer.text or "not known" in answer.text
    assert client.get("/").status_code == 200


def test_what_is_sent_is_refused(made: tuple[MadeUp, Settings], client: TestClient) -> None:
    for path in pages(made[0]):
        assert client.post(path, data={"x": "y"}).status_code == 405, path


def test_the_connection_itself_cannot_write(made: tuple[MadeUp, Settings]) -> None:
    served = Served.open(made[1])
    try:
        with served.reading() as session, pytest.raises(OperationalError, match="readonly"):
            session.execute(update(Target).values(name="mine"))
        with served.reading() as session, pytest.raises(OperationalError, match="readonly"):
            session.execute(text("DROP TABLE flux"))
    finally:
        served.close()


def test_a_database_that_is_away_says_so_and_no_more(
    made: tuple[MadeUp, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DBAPIError("SELECT secret", {}, Exception(f"Access denied, password {PASSWORD}"))

    monkeypatch.setattr("services.web.night_pages.status", away)
    with asking(made[1]) as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert "the database does not answer" in answer.text
    assert PASSWORD not in answer.text
    assert "SELECT" not in answer.text


def test_an_error_of_ours_says_so_and_no_more(
    made: tuple[MadeUp, Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError(PASSWORD)

    monkeypatch.setattr("services.web.night_pages.status", broken)
    with asking(made[1]) as client:
        answer = client.get("/")
    assert answer.status_code == 500
    assert "could not be made" in answer.text
    assert PASSWORD not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def serve(*words: str) -> str:
    result = CliRunner().invoke(app, ["serve", *words])
    assert result.exit_code == 1
    return result.output


def test_the_command_refuses_what_is_not_safe(
    made: tuple[MadeUp, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", made[1].database_url.get_secret_value())
    monkeypatch.setenv("COLUMNS", "500")
    assert "give a token" in serve("--host", "0.0.0.0")
    monkeypatch.setenv("TIANYU_SERVE_TOKEN", PASSWORD)
    assert "at least 16" in (told := serve("--host", "0.0.0.0"))
    assert PASSWORD not in told
    monkeypatch.delenv("TIANYU_SERVE_TOKEN")
    assert "cannot be listened on" in serve("--host", "192.0.2.1", "--behind-proxy", "sky.example")
    assert "has no tianyu.db" in serve(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
