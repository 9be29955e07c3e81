"""Plans say what can be observed; what cannot is told by its name, before anything is made."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from schema.processes import ProcessGroup
from services.deployment import CAPTURE, TelescopeDeployment
from services.errors import ConfigurationError
from services.operating.planned_night import publish_plan
from services.settings import Settings, load
from services.steps import STEPS
from services.telescope.observing_plan import ObservingPlan, read_plan

TELESCOPE = {"camera": "c:1/0", "instrument": "cam", "latitude_deg": 0.0, "longitude_deg": -70.0}
BIAS = {"kind": "bias", "exposure_s": 0}
NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


def plan(tmp_path: Path, text: str) -> ObservingPlan:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exposures = []", "exposures: Tuple should have at least 1 item"),
        ("[[exposures]]\nexposure_s = 5", "light frames are of a target: name it"),
        ('target = "x"\n[[exposures]]\nexposure_s = 0', "light frames of 0 s: give exposure_s"),
        ('[[exposures]]\nkind = "dark"\nfilter = "R"\nexposure_s = 5', "dark frames are taken through no filter"),
        ('target = "x\\n"\n[[exposures]]\nexposure_s = 5', "cannot stand in a FITS header"),
        ('target = "x"\nradec = "5,5"\n[[exposures]]\nexposure_s = 5', "'5,5' is no place on the sky"),
        ('target = "x"\n[[exposures]]\nexposure_s = 5\nsecs = 4', "exposures.0.secs: Extra inputs are not permitted"),
        ("[[exposures]]\nexposure_s = nan\nkind = 'bias'", "exposures.0.exposure_s"),
        ("start = 2026-11-20\n[[exposures]]\nexposure_s = 5", "start: "),
        (
            "start = 2026-11-21T00:00:00Z\nend = 2026-11-20T00:00:00Z\n[[exposures]]\nkind='bias'\nexposure_s=0",
            "not behind",
        ),
        (
            "[[exposures]]\nkind='bias'\nexposure_s=0\ncount=6000\n[[exposures]]\nkind='bias'\nexposure_s=0\ncount=6000",
            "12000",
        ),
        ("[[exposures", "cannot be read"),
    ],
)
def test_what_cannot_be_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"plan\.toml") as caught:
        plan(tmp_path, text)
    assert said in str(caught.value)


def test_times_without_a_zone_are_utc(tmp_path: Path) -> None:
    found = plan(tmp_path, 'start = 2026-11-20T18:00:00\n[[exposures]]\nkind = "bias"\nexposure_s = 0\n')
    assert found.start == datetime(2026, 11, 20, 18, tzinfo=UTC)


def published(session: Session, tmp_path: Path, *, telescope: Any = TELESCOPE, more: Any = (), **wanted: Any) -> Any:
    settings: Settings = load(root=tmp_path, telescope=telescope, **dict(more))
    found = ObservingPlan.model_validate({"exposures": [BIAS]} | wanted)
    return publish_plan(session, settings, found, found.place, NOW)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"telescope": None}, "name its devices under \\[telescope\\]"),
        ({"target": "x", "exposures": [{"exposure_s": 5}]}, "says not where the telescope points"),
        ({"end": NOW - timedelta(hours=1)}, "the plan is over"),
        ({"more": {"time_limit_s": {"capture": 60.0}}}, "raise time_limit_s of capture"),
        ({}, "groups \\['telescope'\\] are not registered: run `tianyu init`"),
    ],
)
def test_what_cannot_be_observed_is_told(session: Session, tmp_path: Path, wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        published(session, tmp_path, **wanted)


def test_a_plan_ends_with_its_night(any_session: Session, tmp_path: Path) -> None:
    """Local noon at 70 degrees west is 16:40 UTC."""
    session = any_session
    session.add(ProcessGroup(name="telescope"))
    session.flush()
    found = published(session, tmp_path)
    assert "0 exposures are taken, 1 are to come" in published(session, tmp_path).says
    assert found.night == date(2026, 11, 20)
    assert found.end == datetime(2026, 11, 21, 16, 40, tzinfo=UTC)
    early = published(session, tmp_path, end=NOW + timedelta(hours=1))
    assert early.end == NOW + timedelta(hours=1)


def test_the_command_has_one_name() -> None:
    assert CAPTURE in STEPS


def test_the_telescopes_group_is_its_own() -> None:
    """What else went there would be done by one worker, between exposures."""
    assert load(groups={CAPTURE: "dome"}).telescope_group == "dome"
    for wrong in ({"default_group": "telescope"}, {"groups": {"detect": "telescope"}}, {"groups": {CAPTURE: "cpu"}}):
        with pytest.raises(ConfigurationError, match="takes exposures, and no other work"):
            load(**wrong)


def test_a_devices_address_is_host_port_and_number() -> None:
    for wrong in ("127.0.0.1:1111", "http://x:1/0", "x/y/0", "x:1/-1", "/0"):
        with pytest.raises(ValueError, match="camera"):
            TelescopeDeployment.model_validate(TELESCOPE | {"camera": wrong})
    assert TelescopeDeployment.model_validate(TELESCOPE | {"camera": "[::1]:11111/0"}).camera == "[::1]:11111/0"
