"""Which observation and which source a user means."""

from datetime import date

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from schema.skies import SourcePosition
from services.errors import ConfigurationError, DataError
from services.lightcurves.selection import ObservationFacts, find_observation, find_source
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp


@pytest.fixture
def made(session: Session) -> MadeUp:
    observation = made_up.add_observation(session)
    return made_up.add_light_curves(session, observation, np.random.default_rng(1), n_stars=12, n_frames=30)


@pytest.fixture
def facts(session: Session, made: MadeUp) -> ObservationFacts:
    return find_observation(session)


def test_the_only_observation_with_light_curves_needs_no_id(session: Session, facts: ObservationFacts) -> None:
    made_up.add_observation(session, night=date(2024, 3, 5))  # has none
    assert find_observation(session) == facts
    assert facts.title == "HAT-P-32, filter R, night 2024-03-04"


def test_several_observations_are_named(session: Session, made: MadeUp) -> None:
    second = made_up.add_observation(session, name="WASP-12")
    made_up.add_light_curves(
        session, second, np.random.default_rng(2), n_stars=12, n_frames=30, first_pid=made_up.GRAPH_PID + 1000
    )
    with pytest.raises(ConfigurationError, match=r"1 \(HAT-P-32, .*\); 2 \(WASP-12, .*choose one \(--observation\)"):
        find_observation(session)
    assert find_observation(session, second).target == "WASP-12"


def test_unknown_observation(session: Session, made: MadeUp) -> None:
    with pytest.raises(ConfigurationError, match="there is no observation 77"):
        find_observation(session, 77)


def test_no_light_curves_anywhere(session: Session) -> None:
    made_up.add_observation(session)
    with pytest.raises(DataError, match="no observation has light curves yet"):
        find_observation(session)


def test_source_by_id_and_by_nearest_pixel(session: Session, made: MadeUp, facts: ObservationFacts) -> None:
    wanted = int(made.source_ids[6])
    x, y = made.xy[6]
    assert find_source(session, facts, source_id=wanted).source_id == wanted
    found = find_source(session, facts, xy=(x + 1.0, y - 1.0))
    assert (found.source_id, found.x, found.y) == (wanted, pytest.approx(x), pytest.approx(y))


def test_a_nearest_source_too_far_away_is_named(session: Session, made: MadeUp, facts: ObservationFacts) -> None:
    distance = np.hypot(made.xy[:, 0] + 100, made.xy[:, 1] + 100)
    nearest = int(made.source_ids[np.argmin(distance)])
    expected = rf"within 5 px of \(-100, -100\): the nearest, source {nearest} at .* is {distance.min():.1f} px away"
    with pytest.raises(ConfigurationError, match=expected):
        find_source(session, facts, xy=(-100.0, -100.0))


def test_the_observations_own_template_may_differ_from_the_skys(
    session: Session, made: MadeUp, facts: ObservationFacts
) -> None:
    session.execute(update(SourcePosition).values(x=SourcePosition.x + 40.0))
    x, y = made.xy[2]
    assert find_source(session, facts, xy=(x, y)).source_id == made.source_ids[2]
    found = find_source(session, facts, own_xy=(x + 40.0, y))
    assert (found.source_id, found.own_x) == (made.source_ids[2], pytest.approx(x + 40.0))


def test_source_by_coordinates_across_zero_hours(session: Session, made: MadeUp, facts: ObservationFacts) -> None:
    places = {made.source_ids[0]: (359.9999, 60.0), made.source_ids[1]: (0.02, 60.0)}
    for source_id, place in places.items():
        made_up.give_place(session, int(source_id), place)
    # 0.0002 degrees of right ascension at declination 60 are 0.36 arcsec on the sky.
    found = find_source(session, facts, radec=(0.0001, 60.0), radec_tolerance_arcsec=0.37)
    assert found.source_id == made.source_ids[0]
    with pytest.raises(ConfigurationError, match=r'within 0.35".* is 0.4" away'):
        find_source(session, facts, radec=(0.0001, 60.0), radec_tolerance_arcsec=0.35)


def test_coordinates_without_a_solution_send_to_pixels(session: Session, facts: ObservationFacts) -> None:
    with pytest.raises(ConfigurationError, match=r"no celestial coordinates.*--xy X,Y"):
        find_source(session, facts, radec=(31.0, 46.7))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "exactly one"),
        ({"source_id": 1, "xy": (1.0, 1.0)}, "exactly one"),
        ({"xy": (float("nan"), 1.0)}, "two finite numbers"),
        ({"radec": (10.0, 91.0)}, "no latitude"),
        ({"source_id": 10_000}, "has no source 10000: its 12 sources"),
    ],
)
def test_choices_that_mean_nothing(
    session: Session, facts: ObservationFacts, chosen: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_source(session, facts, **chosen)  # type: ignore[arg-type]


def test_no_sources_yet(session: Session) -> None:
    facts = find_observation(session, made_up.add_observation(session))
    with pytest.raises(DataError, match="no sources yet"):
        find_source(session, facts, xy=(1.0, 1.0))
