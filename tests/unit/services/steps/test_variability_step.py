"""`analyze` on made-up light curves: the star that dips is the candidate, and CDPP is what the noise makes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from pipeline.flags import Flag
from pipeline.variability.ranking import Suspicion
from schema import database
from schema.found import FoundAlignment, Verdict
from schema.frame import Frame
from schema.image import Image
from schema.photometry import Flux, LightCurveStatistics, Variability
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import LocalImageStore
from services.results.lightcurves.observation_facts import observation_facts
from services.results.variability.candidates import read_candidates
from services.steps.analyze import ANALYZE, AnalyzeParameters
from services.steps.shared.step import Context
from services.steps.shared.variable_stars import BestCurves, near_edge
from tests.unit.made_curves import curves
from tests.unit.services import made_up
from tests.unit.services.conftest import open_session
from tests.unit.services.made_up import GRAPH_PID, MadeUp

Analyse = Callable[[], list[Any]]


@pytest.fixture
def session(ready_sqlite_url: str) -> Any:
    yield from open_session(ready_sqlite_url)


@pytest.fixture
def made(session: Session) -> MadeUp:
    return made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))


@pytest.fixture
def analyse(session: Session, made: MadeUp, tmp_path: Path) -> Analyse:
    """Runs the step, and gives the rows of table variability by rank."""

    def run() -> list[Any]:
        session.execute(delete(LightCurveStatistics))
        session.commit()
        reading: sessionmaker[Session] = database.reading_factory(session.get_bind())  # type: ignore[arg-type]
        context = Context(
            made.analysis_pid,
            GRAPH_PID,
            made.observation_id,
            reading,
            LocalImageStore(tmp_path),
            Deployment(),
            Choices(),
        )
        write = ANALYZE.run(context, AnalyzeParameters(calibration=made.calibration_pid, default=True))
        write(session)
        session.commit()
        return list(session.scalars(select(Variability).order_by(Variability.variability_rank)))

    return run


def test_the_star_that_dips_is_the_only_candidate(analyse: Analyse, made: MadeUp) -> None:
    rows = analyse()
    assert [row.variability_rank for row in rows] == list(range(1, made.source_ids.size + 1))
    assert [row.source_id for row in rows if row.candidate] == [made.variable]
    star = rows[0]
    assert star.source_id == made.variable
    assert star.false_alarm < 1e-6
    assert star.leading_test == "stetson_j"  # neighbours are alike; a parabola takes some of the scatter away
    assert star.suspicion == 0
    # A third of 60 points lower by 3 %: a dip of 20 cadences in the middle, seen once.
    assert star.box_depth == pytest.approx(0.03, rel=0.1)
    assert star.box_mid_bjd == pytest.approx(made_up.JD0 + 0.004 + 29.5 * made_up.CADENCE_D, abs=0.006)
    assert star.box_period_d is None
    # The standard deviation of such a dip.
    assert star.excess_scatter == pytest.approx(0.03 * np.sqrt(2.0 / 9.0), rel=0.1)
    assert next(row for row in rows if row.source_id == made.saturated).false_alarm is None


def test_flagged_points_and_rejected_frames_have_no_say(analyse: Analyse, session: Session, made: MadeUp) -> None:
    """A dip on flagged points only, and one on rejected frames only, are none."""
    dip = made.image_ids[20:40].tolist()
    session.execute(
        update(Flux).where(Flux.source_id == made.variable, Flux.image_id.in_(dip)).values(flag=int(Flag.TRAIL))
    )
    assert not any(row.candidate for row in analyse())


def test_flags_of_the_star_itself_spoil_no_point(analyse: Analyse, session: Session, made: MadeUp) -> None:
    session.execute(update(Flux).where(Flux.source_id == made.variable).values(flag=int(Flag.CROWDED | Flag.BLENDED)))
    assert [row.source_id for row in analyse() if row.candidate] == [made.variable]


def test_a_dip_on_rejected_frames_is_none(analyse: Analyse, session: Session, made: MadeUp) -> None:
    session.execute(update(Verdict).where(Verdict.image_id.in_(made.image_ids[20:40].tolist())).values(good=False))
    assert not any(row.candidate for row in analyse())


def test_a_dip_that_the_frames_explain_is_doubted_for_that(analyse: Analyse, session: Session, made: MadeUp) -> None:
    """The seeing was worse on just the frames of the dip."""
    during = Image.image_id.in_(made.image_ids[20:40].tolist())
    session.execute(update(Image).where(~during).values(fwhm=3.0))
    session.execute(update(Image).where(during).values(fwhm=4.0))
    [star] = [row for row in analyse() if row.source_id == made.variable]
    assert not star.candidate
    assert star.false_alarm < 1e-6
    assert star.suspicion & Suspicion.FRAMES
    listed = read_candidates(session, observation_facts(session, made.observation_id), 1, made.variable)
    assert "doubted: it follows the frames" in listed[0].why


def test_cdpp_is_that_of_white_noise(analyse: Analyse, session: Session, made: MadeUp) -> None:
    """Over 30 stars the ratio to the prediction is 1; of a light curve of 2.9 h each CDPP is good to a fifth."""
    analyse()
    rows = session.execute(
        select(LightCurveStatistics.cdpp, LightCurveStatistics.expected_cdpp, LightCurveStatistics.error_median).where(
            LightCurveStatistics.source_id.not_in([made.variable, made.saturated])
        )
    ).all()
    achieved, expected, error = np.array([tuple(row) for row in rows], dtype=np.float64).T
    assert np.median(achieved / expected) == pytest.approx(1.0, abs=0.1)
    # Ten points in half an hour, of which a parabola over an hour takes some noise away.
    assert np.all(expected < 1.05 * error / np.sqrt(10.0))
    assert np.all(expected > 0.3 * error / np.sqrt(10.0))


def test_frames_without_times_leave_cdpp_and_variability_unknown(analyse: Analyse, session: Session) -> None:
    session.execute(update(Image).values(jd_utc=None, bjd_tdb=None))
    assert analyse() == []
    assert set(session.scalars(select(LightCurveStatistics.cdpp))) == {None}
    assert session.scalar(select(func.count(LightCurveStatistics.scatter)))


def test_the_curves_of_the_chosen_apertures_are_kept() -> None:
    best = BestCurves(3, 2)
    error = np.ones((3, 2))
    best.keep(slice(0, 3), np.array([False, True, False]), curves(np.full((3, 2), 1.0), error))
    best.keep(slice(0, 2), np.array([True, False]), curves(np.full((2, 2), 2.0), 2.0 * error[:2]))
    np.testing.assert_array_equal(best.flux[:, 0], [2.0, 1.0, np.nan])
    np.testing.assert_array_equal(best.error[:, 0], [2.0, 1.0, np.nan])


def test_points_near_the_edge_have_no_say(analyse: Analyse, session: Session, made: MadeUp) -> None:
    """As the frames drift by 20 pixels the star comes within two apertures of the edge just while it dips."""
    x, y = made.xy[made.source_ids.tolist().index(made.variable)]
    during = FoundAlignment.image_id.in_(made.image_ids[20:40].tolist())
    session.execute(update(Image).values(nx=300, ny=200))
    session.execute(update(FoundAlignment).values(dx=0.0, dy=0.0, rotation_deg=0.0, scale=1.0))
    session.execute(update(FoundAlignment).where(during).values(dy=10.0 - y))
    frames = list(session.scalars(select(Frame).where(Frame.dx.is_not(None)).order_by(Frame.image_id)))
    near = near_edge(frames, np.array([[x, y], [150.0, 5.0]]), 12.0)
    assert near[0].sum() == 19  # frames 20 to 39 but number 20, which was not aligned
    assert near[1].all()
    assert made.variable not in [row.source_id for row in analyse() if row.candidate]
