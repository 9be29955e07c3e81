"""The light curve read from the view is the one that was written."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, false, select, text, update
from sqlalchemy.orm import Session

from pipeline.flags import SPOILING, Flag, usable
from pipeline.registration.night_alignment import PROVEN_MATCHES
from schema import light_curve_rows, view_parts
from schema.found import Verdict
from schema.observing import Observation
from schema.photometry import Flux, LightCurveStatistics, RelativeFlux
from services.errors import ConfigurationError, DataError
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.view_columns import LIGHT_CURVE
from tests.conftest import MARIADB, MYSQL
from tests.ready_databases import count_rows_anew
from tests.unit.services import made_up
from tests.unit.services.made_up import MadeUp

FRAMES = 30


def make(session: Session) -> MadeUp:
    observation = made_up.add_observation(session)
    return made_up.add_light_curves(session, observation, np.random.default_rng(1), n_stars=8, n_frames=FRAMES)


def read(session: Session, source_id: int, aperture: object = "best") -> LightCurve:
    facts = find_observation(session, 1)
    return read_light_curve(session, facts, find_source(session, facts, source_id=source_id), aperture)  # type: ignore[arg-type]


def test_rows_are_those_of_the_tables(any_session: Session) -> None:
    made = make(any_session)
    source_id = int(made.source_ids[5])
    curve = read(any_session, source_id, 2)
    stored = any_session.execute(
        select(Flux.flux, Flux.flux_error, RelativeFlux.flux, RelativeFlux.flux_error)
        .join(
            RelativeFlux,
            (RelativeFlux.source_id == Flux.source_id)
            & (RelativeFlux.image_id == Flux.image_id)
            & (RelativeFlux.aperture == Flux.aperture),
        )
        .where(Flux.source_id == source_id, Flux.aperture == 2)
        .order_by(Flux.image_id)
    ).all()
    names = ("flux_raw", "flux_raw_error", "flux_relative", "flux_relative_error")
    np.testing.assert_array_equal(np.column_stack([curve.values(name) for name in names]), np.array(stored))
    assert curve.table.colnames == [column.name for column in LIGHT_CURVE]
    np.testing.assert_allclose(curve.values("jd_utc"), made_up.JD0 + made_up.CADENCE_D * np.arange(FRAMES), rtol=1e-15)
    np.testing.assert_array_equal(curve.values("image_good"), made.good)
    assert curve.values("is_reference").all()
    assert set(curve.table["method"]) == {"ensemble"}
    assert curve.table["flux_raw"].unit == "adu"
    assert curve.table.meta["aperture_radius_px"] == "6"


def test_the_views_have_the_numbers_of_the_rules() -> None:
    assert (view_parts.BAD_FRAME, view_parts.SPOILING) == (Flag.BAD_FRAME, SPOILING)
    assert view_parts.PROVEN_MATCHES == PROVEN_MATCHES


def test_the_view_takes_the_points_that_the_rule_takes(any_session: Session) -> None:
    """Each bit on a frame of its own, among rejected frames and unmeasured fluxes: SQL and numpy agree."""
    made = make(any_session)
    source_id = int(made.source_ids[5])
    for number, flag in enumerate([*Flag, Flag.CROWDED | Flag.BLENDED, Flag.BLENDED | Flag.TRAIL]):
        at = (Flux.source_id == source_id) & (Flux.image_id == int(made.image_ids[number]))
        any_session.execute(update(Flux).where(at).values(flag=int(flag)))
    any_session.execute(update(Flux).where(Flux.image_id == int(made.image_ids[15])).values(flux=None))
    any_session.execute(delete(Verdict).where(Verdict.image_id == int(made.image_ids[16])))
    curve = read(any_session, source_id, 1)
    flag = curve.values("flag")
    expected = usable(curve.values("flux_raw"), flag & ~Flag.BAD_FRAME, curve.values("image_good"))
    expected &= flag != Flag.BAD_FRAME
    np.testing.assert_array_equal(curve.usable, expected)
    assert curve.usable[[0, 1, 11, 12]].all()
    assert not curve.usable[[*range(2, 11), 13, 15, 16]].any()


def test_missing_values_are_masked(session: Session) -> None:
    made = make(session)
    session.execute(delete(RelativeFlux).where(RelativeFlux.image_id == int(made.image_ids[3])))
    curve = read(session, int(made.source_ids[5]), 0)
    assert np.flatnonzero(curve.table["flux_relative"].mask).tolist() == [3]
    assert np.flatnonzero(np.isnan(curve.values("flux_relative"))).tolist() == [3]
    assert not curve.table["flux_raw"].mask.any()


def test_best_aperture_is_what_analyze_named(session: Session) -> None:
    made = make(session)
    source_id = int(made.source_ids[5])
    of_source = LightCurveStatistics.source_id == source_id
    for aperture in (2, 0):
        session.execute(
            update(LightCurveStatistics)
            .where(of_source)
            .values(best_aperture=LightCurveStatistics.aperture == aperture)
        )
        curve = read(session, source_id)
        assert set(curve.values("aperture")) == {aperture}
        assert curve.radii == {aperture: made_up.RADII[aperture]}


def name_best(session: Session, source_id: int, aperture: int | None) -> None:
    session.execute(
        update(LightCurveStatistics)
        .where(LightCurveStatistics.source_id == source_id)
        .values(best_aperture=false() if aperture is None else LightCurveStatistics.aperture == aperture)
    )


def test_stars_of_different_best_apertures_are_read_together(any_session: Session) -> None:
    ids = make(any_session).source_ids.tolist()
    best = {source_id: number % 3 for number, source_id in enumerate(ids)} | {ids[4]: None}
    for source_id, aperture in best.items():
        name_best(any_session, source_id, aperture)
    [(few, found)] = light_curve_rows.points(any_session.connection(), ids, aperture="best")
    assert few == ids
    for source_id, aperture in best.items():
        expected = [] if aperture is None else [aperture] * FRAMES
        assert found["aperture"][found["source_id"] == source_id].tolist() == expected


def test_of_each_night_come_the_points_of_its_best_aperture(any_session: Session) -> None:
    made = make(any_session)
    later = made_up.add_light_curves(
        any_session,
        made_up.add_observation(any_session, night=date(2024, 11, 8)),
        np.random.default_rng(2),
        n_stars=8,
        n_frames=FRAMES,
        first_pid=made_up.GRAPH_PID + 1000,
        known=made,
    )
    star = int(made.source_ids[5])
    for night, aperture in ((made, 2), (later, 0)):
        best = update(LightCurveStatistics).where(LightCurveStatistics.observation_id == night.observation_id)
        any_session.execute(best.values(best_aperture=LightCurveStatistics.aperture == aperture))
    [(_, found)] = light_curve_rows.points(any_session.connection(), [star], aperture="best")
    nights = list(zip(found["observation_id"].tolist(), found["aperture"].tolist(), strict=True))
    assert sorted(nights) == [(made.observation_id, 2)] * FRAMES + [(later.observation_id, 0)] * FRAMES


@pytest.mark.parametrize("each_ready_url", [MARIADB, MYSQL], indirect=True)
def test_a_server_looks_at_the_fluxes_of_no_other_stars(any_session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for a quarter of the stars, servers looked at the fluxes of all: twice as many rows a point as needed."""
    monkeypatch.setattr(light_curve_rows, "SOURCES_AT_FIRST", 75)
    made = made_up.add_light_curves(
        any_session, made_up.add_observation(any_session), np.random.default_rng(1), n_stars=300, n_frames=FRAMES
    )
    count_rows_anew(any_session)
    connection = any_session.connection()

    def rows_read() -> int:
        return sum(int(rows) for _, rows in connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'")))

    before = rows_read()
    [(_, found)] = light_curve_rows.points(connection, made.source_ids[:75].tolist(), aperture="best")
    assert found["flag"].size == 75 * FRAMES
    assert rows_read() - before < 10 * found["flag"].size


def test_a_star_that_is_analysed_meanwhile_is_not_lost(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(session).source_ids[:2].tolist()
    for source_id in (first, second):
        name_best(session, source_id, 0)
    reading = light_curve_rows.bulk_values

    def analyse_and_read(*query: Any) -> Any:
        name_best(session, second, 2)
        return reading(*query)

    monkeypatch.setattr(light_curve_rows, "bulk_values", analyse_and_read)
    [(_, found)] = light_curve_rows.points(session.connection(), [first, second], aperture="best")
    assert found["aperture"][found["source_id"] == first].tolist() == [0] * FRAMES
    assert found["aperture"][found["source_id"] == second].tolist() == [2] * FRAMES


def test_before_analyze_the_best_aperture_scatters_least(session: Session) -> None:
    made = make(session)
    source_id = int(made.source_ids[5])
    session.execute(update(Observation).values(analysis_pid=None))
    noisy = (RelativeFlux.source_id == source_id) & (RelativeFlux.aperture != 1)
    session.execute(update(RelativeFlux).where(noisy).values(flux=1 + 5 * (RelativeFlux.flux - 1)))
    assert read(session, source_id).radii == {1: made_up.RADII[1]}


def test_all_apertures(session: Session) -> None:
    made = make(session)
    curve = read(session, int(made.source_ids[5]), "all")
    assert len(curve.table) == 3 * FRAMES
    assert list(curve.radii.values()) == list(made_up.RADII)


def test_errors_say_what_is_missing(session: Session) -> None:
    made = make(session)
    source_id = int(made.source_ids[5])
    with pytest.raises(ConfigurationError, match=r"has no aperture 9: it has 0 \(3 px\), 1 \(4.5 px\), 2 \(6 px\)"):
        read(session, source_id, 9)
    session.execute(delete(Flux).where(Flux.source_id == source_id))
    with pytest.raises(DataError, match=f"source {source_id} at .* was measured on no image"):
        read(session, source_id)
    session.execute(update(Observation).values(calibration_pid=None))
    with pytest.raises(DataError, match=r"observation 1 .* has no light curves yet"):
        read(session, source_id)
