"""Candidates are told by a webhook once each, whatever the receiver and the program do; no secret is ever said."""

import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.alerts import Alert
from schema.photometry import Variability
from services.errors import ConfigurationError
from services.operating.live.alerts import Alerts
from services.operating.live.webhook import Webhook
from tests.integration.analysed_night import analysed_night
from tests.unit.services.made_up import MadeUp

TOKEN = "sesame-1234"
WAIT_S = 60.0


class Receiver:
    """Answers with these codes, in turn, and then with 200; keeps what it was sent."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.heard: list[tuple[str, dict[str, object]]] = []
        self.taken = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.heard.append((self.headers["Authorization"], body))
                code = receiver.codes.pop(0) if receiver.codes else 200
                self.send_response(code)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                if not receiver.codes:
                    receiver.taken.set()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?secret={TOKEN}"


@pytest.fixture
def made(session: Session, tmp_path: Path) -> MadeUp:
    """A night of which one star dips, analysed by the step itself."""
    return analysed_night(session, tmp_path)


@pytest.fixture
def sessions(session: Session) -> sessionmaker[Session]:
    return database.session_factory(session.get_bind())  # type: ignore[arg-type]


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is said; the secret never is."""
    found: list[str] = []
    yield found
    assert TOKEN not in "".join(found)


def start(receiver: Receiver, sessions: sessionmaker[Session], said: list[str], limit: float = 0.01) -> Alerts:
    webhook = Webhook(SecretStr(receiver.url), SecretStr(TOKEN), 5.0)
    return Alerts(sessions, webhook, limit, said.append, pause_s=0.01)


def test_a_candidate_is_told_until_it_is_heard_and_never_again(
    made: MadeUp, sessions: sessionmaker[Session], said: list[str]
) -> None:
    receiver = Receiver(503, 302, 401, 200)
    alerts = start(receiver, sessions, said)
    alerts.look([made.observation_id])
    assert receiver.taken.wait(WAIT_S)
    alerts.close()
    assert len(receiver.heard) == 4
    assert {token for token, _ in receiver.heard} == {f"Bearer {TOKEN}"}
    bodies = [body for _, body in receiver.heard]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["source_id"] == made.variable
    assert bodies[0]["observation_id"] == made.observation_id
    assert 0.0 <= float(str(bodies[0]["false_alarm"])) < 0.01
    assert sum("alerts wait: 127.0.0.1 answered HTTP" in line for line in said) == 3
    again = start(receiver, sessions, said)  # a program that was started again
    again.look([made.observation_id])
    again.close()
    assert len(receiver.heard) == 4


def test_what_was_not_heard_is_told_by_the_next_program(
    made: MadeUp, sessions: sessionmaker[Session], said: list[str]
) -> None:
    away = Receiver()
    away.server.shutdown()
    away.server.server_close()
    alerts = start(away, sessions, said)
    alerts.look([made.observation_id])
    alerts.close()
    assert any("cannot be reached" in line for line in said)
    receiver = Receiver()
    start(receiver, sessions, said)
    assert receiver.taken.wait(WAIT_S)
    assert len(receiver.heard) == 1


def test_what_is_refused_for_good_and_what_is_too_likely_is_not_sent_again(
    made: MadeUp, session: Session, sessions: sessionmaker[Session], said: list[str]
) -> None:
    receiver = Receiver(422)
    session.execute(update(Variability).where(Variability.source_id == made.variable).values(false_alarm=1e-5))
    session.commit()
    stricter = start(receiver, sessions, said, limit=1e-6)
    stricter.look([made.observation_id])
    stricter.close()  # its thread would send what the next one writes down
    assert session.scalars(select(Alert)).all() == []
    session.rollback()  # it would hold up others
    alerts = start(receiver, sessions, said)
    alerts.look([made.observation_id])
    assert receiver.taken.wait(WAIT_S)
    alerts.close()
    [alert] = session.scalars(select(Alert)).all()
    assert alert.sent_at is None
    assert alert.refusal == f"127.0.0.1 answered HTTP 422 {HTTPStatus(422).phrase}"  # of this Python
    assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    ("url", "token"),
    [("file:///etc/passwd", "a"), ("ftp://host/", "a"), ("https://", "a"), ("https://h/", "a\r\nX: y")],
)
def test_addresses_and_tokens_that_cannot_be_are_refused(url: str, token: str) -> None:
    with pytest.raises(ConfigurationError, match="alert_"):
        Webhook(SecretStr(url), SecretStr(token), 1.0)
