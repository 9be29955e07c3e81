"""Verdicts on candidates: taken where that is configured, from its own pages, and kept one after the other."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from services.web.guard import Rules
from services.web.listening import rules_for
from tests.integration.small_night import Night
from tests.integration.web.asking import HERE, asking

TOKEN = "a token of more than sixteen"
NOTE = "<b>eclipse</b>\u202e at the   end"


@pytest.fixture(scope="module")
def judged(processed: Night, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A copy of the night, whose verdicts go into its own file."""
    night = processed.copy(tmp_path_factory.mktemp("judged") / "work")
    return night.having(review_database_url=night.settings.database_url)


@pytest.fixture(scope="module")
def client(judged: Night) -> Iterator[TestClient]:
    with asking(judged.settings) as found:
        yield found


def form(client: TestClient, night: Night, **changes: Any) -> dict[str, Any]:
    """What the page's own form sends."""
    page = client.get(f"/observation/{night.observation()}/candidates").text
    [fields] = re.findall(r'<form class="controls verdict".*?</form>', page, re.S)
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', fields))
    return found | {"verdict": "confirmed", "note": ""} | changes


def verdicts(night: Night) -> list[tuple[Any, ...]]:
    return night.rows(
        "SELECT observation_id, source_id, verdict, note, author FROM candidate_verdict ORDER BY verdict_id"
    )


def test_the_newest_verdict_is_shown_and_all_are_kept(client: TestClient, judged: Night) -> None:
    number, before = judged.observation(), len(verdicts(judged))
    sent = form(client, judged, note=NOTE)
    star = int(sent["star"])
    answer = client.post("/verdicts", data=sent, headers={"Origin": HERE}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/observation/{number}/candidates#star-{star}")
    client.post("/verdicts", data=sent | {"verdict": "refused", "note": "", "back": "star"})
    assert verdicts(judged)[before:] == [
        (number, star, "confirmed", "<b>eclipse</b>\u202e at the end", None),
        (number, star, "refused", None, None),
    ]
    listed = client.get(f"/observation/{number}/candidates").text
    assert re.search(rf'id="star-{star}".*?>refused</span>', listed, re.S)
    page = client.get(f"/star/{star}").text
    assert page.index("refused in observation") < page.index("confirmed in observation")
    assert r"&lt;b&gt;eclipse&lt;/b&gt;\u202e at the end" in page


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": "x"}, 403),
        ({"key": ""}, 403),
        ({"verdict": "perhaps"}, 400),
        ({"star": "x"}, 400),
        ({"star": str(2**63)}, 400),
        ({"observation": "٣"}, 400),
        ({"note": "x" * 501}, 400),
        ({"note": "x" * 9000}, 400),
        ({"star": "999"}, 404),
        ({"observation": "999"}, 404),
    ],
)
def test_what_is_no_verdict_is_refused(client: TestClient, judged: Night, changes: dict[str, str], status: int) -> None:
    before = verdicts(judged)
    assert client.post("/verdicts", data=form(client, judged) | changes).status_code == status
    assert verdicts(judged) == before


def test_a_strangers_page_cannot_send_one(client: TestClient, judged: Night) -> None:
    before, sent = verdicts(judged), form(client, judged)
    for origin in ("https://stranger.example", "null", "http://127.0.0.1:9999"):
        assert client.post("/verdicts", data=sent, headers={"Origin": origin}).status_code == 403
    assert client.get("/verdicts", params=sent).status_code == 405
    assert verdicts(judged) == before


def test_who_said_it_is_kept(judged: Night) -> None:
    with asking(judged.settings, Rules(token=TOKEN)) as client:
        client.headers["Authorization"] = f"Basic {base64.b64encode(f'Ada:{TOKEN}'.encode()).decode()}"
        client.post("/verdicts", data=form(client, judged))
    with asking(judged.settings, rules_for("127.0.0.1", None, "sky.example")) as client:
        client.headers["X-Forwarded-User"] = "G" * 99
        client.post("/verdicts", data=form(client, judged))
    assert [author for *_, author in verdicts(judged)[-2:]] == ["Ada", "G" * 64]


def test_none_is_taken_by_default(processed: Night) -> None:
    with asking(processed.settings) as client:
        page = client.get(f"/observation/{processed.observation()}/candidates").text
        assert "<form class" not in page
        assert client.post("/verdicts", data={"verdict": "confirmed"}).status_code == 405
