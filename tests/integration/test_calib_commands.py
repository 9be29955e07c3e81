"""`tianyu calib` shows which masters there are, what an observation gets, and why not the others."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from schema.observing import Observation
from schema.queries import images
from services.settings import as_environment
from tests.integration.command_line import tianyu
from tests.integration.small_night import FRAMES, Night


@pytest.fixture
def words(processed: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """The night, which the commands look at."""
    night = processed.copy(tmp_path / "work")
    for name, value in as_environment(night.settings).items():
        monkeypatch.setenv(name, value)
    return night


def said(*command: str) -> str:
    result = tianyu(*command)
    assert result.exit_code == 0, result.output
    return result.output


def further(night: Night, number: int, days: int, **facts: object) -> int:
    """Another observation of bias frames like one that there is, which nobody has published."""
    with night.sessions.begin() as session:
        old = session.get_one(Observation, number)
        columns = {column.key: getattr(old, column.key) for column in Observation.__table__.columns}
        columns |= {"observation_id": None, "graph_pid": None, "night": old.night + timedelta(days)} | facts
        new = Observation(**columns)
        session.add(new)
        session.flush()
        images.add_image(
            session,
            kind="bias",
            site_id=1,
            path=f"{new.observation_id}.fits",
            observation_id=new.observation_id,
            ny=128,
            nx=128,
        )
        return new.observation_id


def test_the_library_lists_frames_with_their_newest_masters(words: Night) -> None:
    numbers = {kind: words.observation(kind) for kind in ("bias", "dark", "flat")}
    listed = {one["kind"]: one for one in json.loads(said("calib", "list", "--json"))}
    assert {kind: one["observation_id"] for kind, one in listed.items()} == numbers
    assert {(one["frames"], one["of_frames"], one["used_by"]) for one in listed.values()} == {(3, 3, 1)}
    bias, dark, flat = listed["bias"], listed["dark"], listed["flat"]
    assert bias["level"] == pytest.approx(1000, rel=0.02)
    assert bias["noise"] == pytest.approx(5, rel=0.2)
    assert dark["exposure_s"] == 30
    assert flat["level"] == pytest.approx(30_000, rel=0.1)
    assert 0.001 < flat["noise"] < 0.01
    with words.sessions() as session:
        masters = {
            one.pid: one.kind for one in images.by_pids(session, [int(one["master_pid"]) for one in listed.values()])
        }
    assert masters[int(flat["master_pid"])] == "master_flat"
    assert str(flat["master_pid"]) in said("calib", "list")


def test_an_observation_is_told_what_it_got_and_why_not_the_others(words: Night) -> None:
    number, bias = words.observation(), words.observation("bias")
    far = further(words, bias, 400)
    other = further(words, bias, 0, setting="gain 4")
    fits = further(words, bias, 2)
    explained = {one["kind"]: one for one in json.loads(said("calib", "explain", str(number), "--json"))}
    found = explained["bias"]
    assert [(one["observation_id"], one["frames"]) for one in found["used"]] == [(bias, FRAMES)]
    assert (found["chosen"], found["others"]) == (bias, [fits])
    assert [(one["observation_id"], one["why"].partition(" ")[0]) for one in found["refused"]] == [
        (other, "gain"),
        (far, "night"),
    ]
    lines = said("calib", "explain", str(number))
    assert f"bias  {FRAMES} frames with that of observation {bias}" in lines
    assert f"refused observation {other}" in lines
    [status] = json.loads(said("status", str(number), "--json"))["observations"]
    assert [one["kind"] for one in status["masters"]] == ["bias", "dark", "flat"]
    assert f"flat  {FRAMES} frames with that of observation" in said("status", str(number))


def test_an_observation_that_is_not_there_is_an_error(words: Night) -> None:
    result = tianyu("calib", "explain", "99")
    assert result.exit_code == 1
    assert "there is no observation 99" in result.output
