"""Which observation and which source a user means."""

from datetime import date

import numpy as np
import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from pipeline.registration.alignment import rotation_matrix
from schema.found import FoundAlignment, Verdict
from schema.frame import Frame
from schema.image import Image
from schema.queries.images import path_digest
from schema.skies import Source, SourcePosition
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import ObservationFacts, find_observation
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.star_nights import seen_as
from services.steps.shared.graph_fluxes import graph_axes
from services.steps.shared.named_stars import star_mask
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


def on_first(session: Session, made: MadeUp, xy: np.ndarray) -> np.ndarray:
    """Pixels of the first frame of template pixels, by that frame's own row."""
    first = session.scalars(select(Frame).where(Frame.image_id == int(made.image_ids[0]))).one()
    return rotation_matrix(first.rotation_deg or 0.0) @ (xy + 0.5) - 0.5 + (first.dx, first.dy)


def add_misaligned(session: Session, facts: ObservationFacts) -> None:
    path = "calibrated/misaligned.fits"
    row = {"kind": "calibrated", "site_id": 1, "graph_pid": facts.graph_pid, "pid": 5, "start_jd_utc": None}
    image = Image(path=path, path_digest=path_digest(1, path), **row)
    session.add(image)
    session.flush()
    session.add(FoundAlignment(image_id=image.image_id, pid=6, dx=-300.0, dy=0.0, matches=3))
    session.add(Verdict(image_id=image.image_id, pid=7, good=False, weight=0.0))


def test_source_by_id_and_by_nearest_pixel_of_the_first_frame(
    session: Session, made: MadeUp, facts: ObservationFacts
) -> None:
    of_first = FoundAlignment.image_id == int(made.image_ids[0])
    session.execute(update(FoundAlignment).where(of_first).values(dx=40.0, rotation_deg=1.0))
    add_misaligned(session, facts)  # before all others; its few stars were matched wrongly
    wanted = int(made.source_ids[6])
    x, y = on_first(session, made, made.xy[6])
    assert find_source(session, facts, source_id=wanted).source_id == wanted
    found = find_source(session, facts, xy=(x + 1.0, y - 1.0))
    assert (found.source_id, found.x, found.y) == (wanted, pytest.approx(x), pytest.approx(y))
    assert (found.template_x, found.template_y) == (pytest.approx(made.xy[6, 0]), pytest.approx(made.xy[6, 1]))
    # The view and the stars of the settings mean the same pixels.
    session.execute(update(Image).values(nx=0, ny=0))
    session.execute(update(FoundAlignment).values(scale=1.0))
    place = session.execute(
        text("SELECT x, y FROM source_place WHERE observation_id = :observation AND source_id = :source"),
        {"observation": facts.observation_id, "source": wanted},
    ).one()
    assert tuple(place) == (pytest.approx(x), pytest.approx(y))
    axes = graph_axes(session, facts.graph_pid or 0)
    assert axes.source_ids[star_mask([f"{x:.2f},{y:.2f}"], axes, 1.0, 1.0)].tolist() == [wanted]


def test_a_nearest_source_too_far_away_is_named(session: Session, made: MadeUp, facts: ObservationFacts) -> None:
    first = np.array([on_first(session, made, xy) for xy in made.xy])
    distance = np.hypot(first[:, 0] + 100, first[:, 1] + 100)
    nearest = int(made.source_ids[np.argmin(distance)])
    expected = rf"within 5 px of \(-100, -100\): the nearest, source {nearest} at .* is {distance.min():.1f} px away"
    with pytest.raises(ConfigurationError, match=expected):
        find_source(session, facts, xy=(-100.0, -100.0))


def test_a_star_of_two_ids_is_found_by_either(session: Session, made: MadeUp, facts: ObservationFacts) -> None:
    first, other = (int(one) for one in made.source_ids[:2])
    session.execute(update(Source).where(Source.source_id == other).values(same_as=first))
    session.execute(delete(SourcePosition).where(SourcePosition.source_id == first))
    assert find_source(session, facts, source_id=first).source_id == other
    assert [star.source_id for _, star in seen_as(session, source_id=first)] == [other]


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
