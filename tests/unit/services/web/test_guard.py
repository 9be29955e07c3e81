"""Who may ask, how often, and what browsers are told: before any page is made."""

import base64
from collections.abc import AsyncIterator, Callable

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from services.errors import ConfigurationError
from services.web.guard import (
    ASKED_AT_ONCE,
    ASKED_PER_S,
    HEADERS,
    QUESTIONS_AT_ONCE,
    REFUSED_AT_ONCE,
    Guard,
    Message,
    Rules,
    Send,
)
from services.web.listening import is_loopback, rules_for

TOKEN = "a token of more than sixteen"


def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def breaks(_: Request) -> PlainTextResponse:
    raise ValueError("the secret is hunter2")


class Clock:
    """Seconds that a test turns on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asking(clock: Clock) -> Callable[..., TestClient]:
    def client(rules: Rules, url: str = "http://127.0.0.1:8421") -> TestClient:
        app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"]), Route("/breaks", breaks)])
        return TestClient(Guard(app, rules, clock), base_url=url)

    return client


Asking = Callable[..., TestClient]


def test_every_answer_tells_browsers_what_to_refuse(asking: Asking) -> None:
    client = asking(Rules(token=TOKEN))
    for answer in (client.get("/"), client.get("/", auth=("", TOKEN)), client.get("/none", auth=("", TOKEN))):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_asked_by_its_own_names(asking: Asking, name: str) -> None:
    assert asking(Rules(), f"http://{name}:8421").get("/").text == "hello"


def test_a_strangers_name_that_points_to_this_machine_is_refused(asking: Asking) -> None:
    assert asking(Rules(), "http://rebound.example:8421").get("/").status_code == 421


@pytest.mark.parametrize("way", ["basic", "bearer"])
def test_a_token_opens(asking: Asking, way: str) -> None:
    client = asking(Rules(token=TOKEN, names=None), "http://dome.example")
    refused = client.get("/")
    assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
    shown = f"Bearer {TOKEN}" if way == "bearer" else f"Basic {base64.b64encode(f'me:{TOKEN}'.encode()).decode()}"
    assert client.get("/", headers={"Authorization": shown}).text == "hello"


@pytest.mark.parametrize("shown", ["Basic !!!", "Basic /w==", "Bearer ", "Digest x", f"Bearer {TOKEN}x", "Bearer ä"])
def test_nothing_else_opens(asking: Asking, shown: str) -> None:
    client = asking(Rules(token=TOKEN))
    assert client.get("/", headers={"Authorization": shown.encode("utf-8")}).status_code == 401


def test_tokens_are_not_guessed_at_speed(asking: Asking, clock: Clock) -> None:
    client = asking(Rules(token=TOKEN))
    for number in range(int(REFUSED_AT_ONCE)):
        client.get("/", auth=("", f"guess {number}"))
    assert client.get("/", auth=("", TOKEN)).status_code == 401, "the right one is not told from the others then"
    clock.now += 60.0
    assert client.get("/", auth=("", TOKEN)).status_code == 200


def test_who_asks_too_much_waits(asking: Asking, clock: Clock) -> None:
    client = asking(Rules(is_behind_proxy=True))
    answers = [client.get("/", headers={"X-Forwarded-For": f"{n}, 10.0.0.7"}).status_code for n in range(401)]
    assert answers == [200] * int(ASKED_AT_ONCE) + [429]
    assert client.get("/", headers={"X-Forwarded-For": "10.0.0.8"}).status_code == 200, "others are not held up"
    clock.now += 1.0
    assert [client.get("/", headers={"X-Forwarded-For": "10.0.0.7"}).status_code for _ in range(41)] == [
        *[200] * int(ASKED_PER_S),
        429,
    ]


async def asked(guard: Guard, send: Send, *headers: tuple[bytes, bytes]) -> None:
    """One question."""

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    named = [(b"host", b"localhost"), *headers]
    head = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": named}
    await guard({"type": "http", "http_version": "1.1", "scheme": "http", **head}, receive, send)


def test_who_comes_when_the_service_is_full_is_told_when_to_come_back() -> None:
    async def fill_it() -> list[int]:
        leave, statuses, bodies = anyio.Event(), [], []

        async def page(_: Request) -> PlainTextResponse:
            await leave.wait()
            return PlainTextResponse("hello")

        guard = Guard(Starlette(routes=[Route("/", page)]), Rules())

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                if message["status"] == 503:
                    assert (b"retry-after", b"5") in message["headers"]
            else:
                bodies.append(message["body"])

        async with anyio.create_task_group() as group:
            for _ in range(QUESTIONS_AT_ONCE):
                group.start_soon(asked, guard, send)
            await anyio.wait_all_tasks_blocked()
            for _ in range(50):
                await asked(guard, send)
            assert statuses == [503] * 50, "at once, while the others still wait"
            assert b"<" not in bodies.pop()
            await asked(guard, send, (b"accept", b"text/html,*/*"))
            assert statuses.pop() == 503
            page_of_browser = bodies.pop().decode()
            assert '<meta http-equiv="refresh" content="5">' in page_of_browser
            assert "As many questions are being answered as may be" in page_of_browser
            leave.set()
        await asked(guard, send)
        return statuses

    assert anyio.run(fill_it) == [503] * 50 + [200] * (QUESTIONS_AT_ONCE + 1)


def test_who_takes_nothing_of_an_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.web.guard.SLOWEST_S", 0.05)
    closed = []

    async def page(_: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(1000)
            finally:
                closed.append(True)

        return StreamingResponse(parts())

    async def send(message: Message) -> None:
        if message.get("body"):
            await anyio.sleep_forever()

    anyio.run(asked, Guard(Starlette(routes=[Route("/", page)]), Rules()), send)
    assert closed == [True]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_pages_can_only_be_read(asking: Asking, method: str) -> None:
    assert asking(Rules()).request(method, "/").status_code == 405


def test_what_may_be_sent_to_is_named(asking: Asking) -> None:
    client = asking(Rules(writing=("/",)))
    assert client.post("/").text == "hello"
    assert client.put("/").status_code == 405


def test_an_error_shows_nothing_of_itself(asking: Asking) -> None:
    answer = asking(Rules()).get("/breaks")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_loopback_is_this_machine_alone() -> None:
    asked = ["127.0.0.1", "127.8.9.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "dome.example"]
    assert [host for host in asked if is_loopback(host)] == ["127.0.0.1", "127.8.9.1", "::1", "localhost"]


def test_others_than_this_machine_need_a_token_or_a_proxy() -> None:
    with pytest.raises(ConfigurationError, match="give a token"):
        rules_for("0.0.0.0", None, None)
    with pytest.raises(ConfigurationError, match="at least 16") as refused:
        rules_for("0.0.0.0", "hunter2", None)
    assert "hunter2" not in str(refused.value)
    assert rules_for("0.0.0.0", TOKEN, None) == Rules(TOKEN, names=None)
    assert rules_for("127.0.0.1", None, None) == Rules()
    behind = rules_for("0.0.0.0", None, "Sky.example.org")
    assert behind.is_behind_proxy
    assert "sky.example.org" in (behind.names or ())
