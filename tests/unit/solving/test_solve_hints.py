"""What is believed of a field before it is solved, and by whom it was told."""

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from schema import database, models
from schema.observing import Instrument, Observation
from schema.skies import PlateSolution
from services.choices import Choices
from services.sky.solving.hints import BLIND_SCALE_ARCSEC, Hints, Try, hints_of
from services.star_names import place_on_sky
from tests.unit.services import made_up


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    with database.session_factory(engine)() as session:
        made_up.base_rows(session)
        yield session
    engine.dispose()


def observation(session: Session, **columns: Any) -> int:
    """One more observation of the same camera, with these columns."""
    day = 1 + session.query(Observation).count()
    observation_id = made_up.add_observation(session, night=date(2024, 3, day))
    for name, value in columns.items():
        setattr(session.get_one(Observation, observation_id), name, value)
    session.flush()
    return observation_id


def solved(session: Session, observation_id: int, pid: int, scale: float | None) -> None:
    session.add(
        PlateSolution(
            pid=pid, image_id=1, observation_id=observation_id, solved=scale is not None, pixel_scale_arcsec=scale
        )
    )
    session.flush()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31.043d,46.688d", (31.043, 46.688)),
        ("02:04:10.3,+46:41:16", (15 * (2 + 4 / 60 + 10.3 / 3600), 46 + 41 / 60 + 16 / 3600)),
        ("23:59:00,-00:30:00", (15 * (23 + 59 / 60), -0.5)),
        ("-10d,5d", (350.0, 5.0)),
    ],
)
def test_places(text: str, expected: tuple[float, float]) -> None:
    assert place_on_sky(text) == pytest.approx(expected, abs=1e-9)


def test_settings_stand_above_headers(session: Session) -> None:
    told = observation(session, ra_deg=31.3, dec_deg=46.8, pixel_scale_arcsec=5.21)
    by_headers = hints_of(session, told, Choices())
    assert (by_headers.place, by_headers.scale_arcsec) == ((31.3, 46.8), 5.21)
    assert str(by_headers) == "pointing 31.3000 +46.8000 (headers) and 5.21 arcsec a pixel (headers)"
    by_settings = hints_of(
        session, told, Choices(solve_radec="10.5d,-3.25d", pixel_scale_arcsec=1.5, solve_radius_deg=7.0)
    )
    assert (by_settings.place, by_settings.scale_arcsec, by_settings.radius_deg) == ((10.5, -3.25), 1.5, 7.0)
    assert "setting solve_radec" in str(by_settings)


def test_the_latest_solution_of_the_same_camera_and_binning_tells_the_scale(session: Session) -> None:
    new = observation(session)
    assert hints_of(session, new, Choices()).scale_arcsec is None
    assert str(hints_of(session, new, Choices())) == "no pointing and no pixel scale"
    solved(session, observation(session), 11, 5.0)
    solved(session, observation(session), 12, 5.1)
    solved(session, observation(session), 13, None)
    solved(session, observation(session, binning="2x2"), 14, 10.2)
    session.add(Instrument(instrument_id=77, name="another", telescope=""))
    session.flush()
    solved(session, observation(session, instrument_id=77), 15, 0.4)
    found = hints_of(session, new, Choices())
    assert (found.scale_arcsec, found.scale_tolerance) == (5.1, 0.03)
    written = observation(session, pixel_scale_arcsec=4.9)
    assert hints_of(session, written, Choices()).scale_arcsec == 4.9


def test_tries_grow_until_nothing_is_believed() -> None:
    believed, wider, blind = Hints((31.0, 46.0), "", 3.0, 5.0, "", 0.1).tries()
    assert believed == Try((31.0, 46.0, 3.0), (pytest.approx(5.0 / 1.1), pytest.approx(5.5)))  # type: ignore[arg-type]
    assert wider == Try((31.0, 46.0, 15.0), (2.0, 12.5))
    assert blind == Try(None, BLIND_SCALE_ARCSEC)


def test_a_hint_that_lacks_is_not_made_up() -> None:
    assert list(Hints().tries()) == [Try(None, BLIND_SCALE_ARCSEC)]
    tries = list(Hints((31.0, 46.0), "", 100.0).tries())
    assert [one.place for one in tries] == [(31.0, 46.0, 100.0), (31.0, 46.0, 180.0), None]
    assert {one.scale_arcsec for one in tries} == {BLIND_SCALE_ARCSEC}
    assert [one.place for one in Hints(scale_arcsec=1.0).tries()] == [None] * 3


def test_a_wrong_hint_is_inside_of_the_second_try() -> None:
    """Of a telescope 10 degrees astray and of a forgotten 2 x 2 binning."""
    _, wider, _ = Hints((31.0, 46.0), "", 3.0, 5.0, "", 0.1).tries()
    assert wider.place is not None
    assert wider.place[2] > 10.0
    assert wider.scale_arcsec[0] < 2.5
    assert wider.scale_arcsec[1] > 10.0
    assert math.isclose(wider.scale_arcsec[0] * wider.scale_arcsec[1], 25.0)
