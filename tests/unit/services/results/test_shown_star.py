"""Which star is shown when nobody names one: what stands out and stands free, never what is spoiled."""

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline.flags import Flag
from schema.observing import Observation
from schema.photometry import Flux, LightCurveStatistics, Variability
from schema.skies import SourcePosition
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.star_statistics import Stars
from services.results.variability.excess import excess_significance
from services.results.variability.shown_star import shown_star
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp


@pytest.fixture
def made(session: Session) -> MadeUp:
    return made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))


def shown(session: Session) -> int | None:
    star = shown_star(session, find_observation(session))
    return None if star is None else star.source_id


def add_candidates(session: Session, made: MadeUp, *source_ids: int) -> None:
    session.add_all(
        Variability(
            pid=made.analysis_pid,
            source_id=source_id,
            observation_id=made.observation_id,
            aperture=1,
            variability_rank=rank,
            candidate=True,
        )
        for rank, source_id in enumerate(source_ids, 1)
    )
    session.flush()


def test_it_is_the_one_that_dips_not_the_saturated_one(session: Session, made: MadeUp) -> None:
    assert shown(session) == made.variable


def test_a_star_is_judged_by_its_flags_alone(session: Session, made: MadeUp) -> None:
    session.execute(update(Flux).values(flag=0))
    assert shown(session) == made.saturated


def test_a_candidate_goes_before_what_scatters_more(session: Session, made: MadeUp) -> None:
    candidate = int(made.source_ids[7])
    add_candidates(session, made, candidate)
    assert shown(session) == candidate


@pytest.mark.parametrize("flag", [Flag.BLENDED, Flag.EDGE])
def test_a_blend_or_a_star_of_the_edge_is_not_shown(session: Session, made: MadeUp, flag: Flag) -> None:
    first, second = (int(source_id) for source_id in made.source_ids[[7, 9]])
    add_candidates(session, made, first, second)
    session.execute(update(SourcePosition).where(SourcePosition.source_id == first).values(flag=int(flag)))
    assert shown(session) == second


@pytest.mark.parametrize("flag", [Flag.TRAIL, Flag.CROWDED, Flag.NONLINEAR])
def test_a_star_of_spoiled_points_is_not_shown(session: Session, made: MadeUp, flag: Flag) -> None:
    first, second = (int(source_id) for source_id in made.source_ids[[7, 9]])
    add_candidates(session, made, first, second)
    session.execute(update(Flux).where(Flux.source_id == first).values(flag=int(flag)))
    assert shown(session) == second


def test_a_single_trail_shuts_no_star_out(session: Session, made: MadeUp) -> None:
    first, second = (int(source_id) for source_id in made.source_ids[[7, 9]])
    add_candidates(session, made, first, second)
    one = (Flux.source_id == first) & (Flux.image_id == int(made.image_ids[10]))
    session.execute(update(Flux).where(one).values(flag=int(Flag.TRAIL)))
    assert shown(session) == first


def test_the_star_at_the_headers_coordinates_goes_first(session: Session, made: MadeUp) -> None:
    add_candidates(session, made, made.variable)
    pointed_at = int(made.source_ids[12])
    made_up.give_place(session, pointed_at, (31.0428, 46.6878))
    session.execute(update(Observation).values(ra_deg=31.0428, dec_deg=46.6878 + 2.0 / 3600.0))
    assert shown(session) == pointed_at
    session.execute(update(Observation).values(dec_deg=46.6878 + 20.0 / 3600.0))
    assert shown(session) == made.variable


def test_stars_of_few_epochs_are_left_out(session: Session, made: MadeUp) -> None:
    of_variable = LightCurveStatistics.source_id == made.variable
    session.execute(update(LightCurveStatistics).where(of_variable).values(epochs=20))
    assert shown(session) not in (made.variable, made.saturated, None)


def test_where_no_star_stands_free_it_is_said(session: Session, made: MadeUp) -> None:
    session.execute(update(SourcePosition).values(flag=int(Flag.BLENDED)))
    star = shown_star(session, find_observation(session))
    assert star is not None
    assert "free of neighbours" in star.why


def test_nothing_is_shown_before_the_analysis(session: Session, made: MadeUp) -> None:
    session.execute(update(Observation).values(analysis_pid=None))
    assert shown(session) is None


def test_a_common_excess_makes_no_star_variable() -> None:
    """All bright stars scatter twice as much as quoted; one faint star 1.6 times, where its like scatter as quoted."""
    error = np.geomspace(1e-3, 1e-2, 60)
    scatter = np.where(np.arange(60) < 20, 2.0, 1.0) * error
    scatter[45] = 1.6 * error[45]
    stars = Stars(np.arange(60), 1 / error, scatter, error, np.full(60, 201), np.zeros(60, dtype=np.int64))
    significance = excess_significance(stars)
    assert np.argmax(significance) == 45
    assert significance[45] == pytest.approx(np.log(1.6) * 20.0)
    np.testing.assert_allclose(significance[:8], 0.0, atol=1e-12)
