"""What `import tianyu` asks by, given what it never asks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session
from starlette.types import Message

from services.settings import Settings
from services.web import client_routes
from tests.integration.web.asking import asking
from tests.unit.services import made_up

WANTED: dict[str, Any] = {"sources": [1], "observations": [1], "aperture": "best", "usable_only": True}


def test_strange_questions_get_a_sentence(any_session: Session, each_ready_url: str, tmp_path: Path) -> None:
    made_up.add_light_curves(any_session, made_up.add_observation(any_session), np.random.default_rng(1))
    any_session.commit()
    with asking(Settings(database_url=SecretStr(each_ready_url), root=tmp_path)) as client:
        for path, content, status in (
            ("rows/DROP TABLE flux", {}, 404),
            ("rows/frames_of", {"observation": "1 OR 1=1"}, 400),
            ("rows/frames_of", {"observation": 10**30}, 400),
            ("rows/frames_of", {"observation": True}, 400),
            ("rows/frames_of", {}, 400),
            ("rows/frames", {"more": 1}, 400),
            ("rows/names", {"names": ["x"] * (client_routes.LIST_MOST + 1)}, 400),
            ("rows/frames", [], 400),
            ("points", WANTED | {"sources": []}, 400),
            ("points", WANTED | {"sources": ["1) OR (1=1"]}, 400),
            ("points", WANTED | {"sources": [10**30]}, 400),
            ("points", WANTED | {"aperture": "0 OR 1"}, 400),
            ("points", WANTED | {"more": 1}, 400),
            ("points", WANTED | {"observations": [1] * client_routes.BODY_MOST}, 400),
        ):
            answer = client.post(f"/api/{path}", content=json.dumps(content))
            assert (answer.status_code, set(answer.json())) == (status, {"error"}), (path, answer.text)
        assert client.post("/api/rows/frames", content=b"{").status_code == 400
        assert client.get("/api/points").status_code == 405
        assert (
            client.post("/api/rows/names", content=json.dumps({"names": ["'; DROP TABLE flux"]})).json()["rows"] == []
        )
        answer = client.post("/api/points", content=json.dumps(WANTED | {"sources": [999_999]}))
        assert json.loads(answer.content[answer.content.rindex(b"{") :]) == {"sources": 1, "points": 0}


def test_as_many_lists_as_may_are_read_at_a_time(
    any_session: Session, each_ready_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up.add_light_curves(any_session, made_up.add_observation(any_session), np.random.default_rng(1))
    any_session.commit()
    with asking(Settings(database_url=SecretStr(each_ready_url), root=tmp_path)) as client:
        for _ in range(client_routes.AT_A_TIME + 1):  # each gives its place back
            assert client.post("/api/points", content=json.dumps(WANTED)).status_code == 200
        for _ in range(client_routes.AT_A_TIME):
            assert client_routes._reading.acquire(blocking=False)
        try:
            full = client.post("/api/points", content=json.dumps(WANTED))
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
        finally:
            for _ in range(client_routes.AT_A_TIME):
                client_routes._reading.release()


def test_a_list_that_nobody_waits_for_any_more_gives_its_place_back() -> None:
    """Who has left before the first part: nothing is read, and so what reads comes to no end."""

    async def leave() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            await anyio.sleep_forever()

        for _ in range(client_routes.AT_A_TIME + 1):
            assert client_routes._reading.acquire(blocking=False)
            nothing: Iterator[bytes] = iter(())
            await client_routes.PointsResponse(nothing)({"type": "http", "asgi": {}}, receive, send)

    anyio.run(leave)
