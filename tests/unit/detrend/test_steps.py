"""The steps `calibrate_relative` and `detrend` on rows of a made-up night: what they store, and what the view shows."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session, sessionmaker

from pipeline.flags import Flag
from pipeline.relative import PickLimits
from schema import database
from schema.found import Verdict
from schema.image import Image
from schema.observing import Observation
from schema.photometry import Flux
from services.choices import Choices
from services.deployment import Deployment
from services.engine.publisher.graph import Graph, methods_of
from services.errors import DataError
from services.image_store import LocalImageStore
from services.settings import Settings, load
from services.steps.analyze import ANALYZE
from services.steps.calibrate_relative import CALIBRATE_RELATIVE, CalibrateRelativeParameters
from services.steps.detrend import DETREND, DetrendParameters
from services.steps.shared.named_stars import NamedStars
from services.steps.shared.step import Context
from tests.unit.services import made_up

CURVES = """
SELECT source_id, image_id, flux_relative, flux_detrended, flux_detrended_error FROM light_curve
WHERE aperture = 1 AND image_good ORDER BY source_id, image_id
"""


class Night:
    """A made-up night in a database; steps run on it as a worker would run them."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        with sessions.begin() as session:
            made_up.base_rows(session)
            observation = made_up.add_observation(session)
            self.made = made_up.add_light_curves(session, observation, np.random.default_rng(0))
        self.pid = made_up.GRAPH_PID + 5000

    def run(self, step: Any, parameters: Any) -> int:
        """Run a step as a process with a PID of its own; returns the PID."""
        self.pid += 1
        context = Context(
            self.pid,
            made_up.GRAPH_PID,
            self.made.observation_id,
            self.sessions,
            LocalImageStore(Path("/nowhere")),
            Deployment(),
            Choices(),
        )
        write = step.start(context, parameters.model_dump_json(exclude_defaults=True))
        with self.sessions.begin() as session:
            write(session)
        return self.pid

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.sessions() as session:
            return list(session.execute(text(query), values))

    def sway(self, amplitude: float) -> None:
        """Fluxes sway with the seeing, each star's by its place."""
        wave = np.sin(np.arange(self.made.image_ids.size) / 7.0)
        across = (self.made.xy[:, 0] - 150.0) / 150.0
        with self.sessions.begin() as session:
            for image_id, value in zip(self.made.image_ids.tolist(), wave.tolist(), strict=True):
                session.execute(update(Image).where(Image.image_id == image_id).values(fwhm=3.0 + value))
                for source_id, share in zip(self.made.source_ids.tolist(), across.tolist(), strict=True):
                    session.execute(
                        update(Flux)
                        .where(Flux.source_id == source_id, Flux.image_id == image_id)
                        .values(flux=Flux.flux * (1.0 + amplitude * share * value))
                    )

    def scatter(self, column: int) -> dict[int, float]:
        """Standard deviation of each source's light curve in a column of CURVES."""
        values: dict[int, list[float]] = {}
        for row in self.rows(CURVES):
            if row[column] is not None:
                values.setdefault(row.source_id, []).append(row[column])
        return {source: float(np.std(series)) for source, series in values.items()}


@pytest.fixture
def night(ready_sqlite_url: str) -> Iterator[Night]:
    engine = database.connect(ready_sqlite_url)
    yield Night(database.session_factory(engine))
    engine.dispose()


def calibrate(night: Night, method: str = "ensemble", **more: Any) -> int:
    return night.run(CALIBRATE_RELATIVE, CalibrateRelativeParameters(method=cast(Any, method), default=True, **more))


@pytest.mark.parametrize("method", ["sysrem", "trends"])
def test_detrended_curves_stand_beside_relative_ones(night: Night, method: str) -> None:
    night.sway(0.01)
    calibration = calibrate(night)
    before = night.rows(CURVES)
    assert {row.flux_detrended for row in before} == {None}
    pid = night.run(DETREND, DetrendParameters(calibration=calibration, method=cast(Any, method)))
    after = night.rows(CURVES)
    assert [row.flux_relative for row in after] == [row.flux_relative for row in before]
    relative, detrended = night.scatter(2), night.scatter(3)
    bright = night.made.source_ids[4:14].tolist()
    assert np.median([detrended[star] / relative[star] for star in bright]) < 0.5
    [(shown, kept)] = night.rows("SELECT detrend_pid, calibration_pid FROM observation")
    assert (shown, kept) == (pid, calibration)
    # The star that dips by 3 % still does.
    curve = [row.flux_detrended for row in after if row.source_id == night.made.variable]
    times = np.flatnonzero(night.made.good)
    inside = (times >= 20) & (times < 40)
    values = np.array(curve)
    assert values[~inside].mean() - values[inside].mean() == pytest.approx(0.03, abs=0.004)


def test_spoiled_points_tell_neither_levels_nor_trends(night: Night) -> None:
    """Hot pixels add a fifth to two thirds of a star's points."""
    night.sway(0.01)
    star = int(night.made.source_ids[10])
    with night.sessions.begin() as session:
        hot = (
            Flux.source_id == star,
            Flux.image_id.in_(night.made.image_ids[::3].tolist() + night.made.image_ids[1::3].tolist()),
        )
        session.execute(update(Flux).where(*hot).values(flux=1.2 * Flux.flux, flag=int(Flag.BAD_PIXEL)))
    night.run(DETREND, DetrendParameters(calibration=calibrate(night), method="trends"))
    query = """
SELECT usable, flux_relative, flux_detrended FROM light_curve WHERE aperture = 1 AND image_good AND source_id = :s
"""
    rows = night.rows(query, s=star)
    assert 0.2 < np.mean([row.usable for row in rows]) < 0.5
    for column in (1, 2):
        assert np.median([row[column] for row in rows if row.usable]) == pytest.approx(1, abs=1e-9)
        assert np.median([row[column] for row in rows if not row.usable]) == pytest.approx(1.2, abs=0.01)


def test_without_trends_the_relative_curves_stand_for_both(night: Night) -> None:
    calibration = calibrate(night)
    pid = night.run(DETREND, DetrendParameters(calibration=calibration, method="sysrem"))
    assert night.rows("SELECT COUNT(*) FROM relative_flux WHERE pid = :pid", pid=pid)[0][0] == 0
    rows = night.rows(CURVES)
    assert [row.flux_detrended for row in rows] == [row.flux_relative for row in rows]


def test_a_new_calibration_hides_what_was_detrended_from_the_old_one(night: Night) -> None:
    night.sway(0.01)
    old = calibrate(night)
    night.run(DETREND, DetrendParameters(calibration=old, method="sysrem"))
    calibrate(night)
    assert {row.flux_detrended for row in night.rows(CURVES)} == {None}
    night.run(DETREND, DetrendParameters(calibration=old, method="sysrem"))  # comes late, and is not shown
    assert night.rows("SELECT detrend_pid FROM observation") == [(None,)]


def test_manual_stars_and_their_roles(night: Night) -> None:
    ids, xy = night.made.source_ids.tolist(), night.made.xy
    stars = NamedStars(
        targets=(f"{xy[3, 0]:.2f},{xy[3, 1]:.2f}", str(ids[6])), references=(str(ids[4]), str(ids[5])), checks=()
    )
    pid = calibrate(night, "manual", stars=stars)
    query = "SELECT source_id, role, method, weight, is_reference FROM reference_star WHERE pid = :p AND aperture = 1"
    roles = night.rows(query, p=pid)
    assert {row.source_id for row in roles if row.role == "target"} == {ids[3], ids[6]}
    assert {row.source_id: row.weight for row in roles if row.is_reference} == {ids[4]: 0.5, ids[5]: 0.5}
    assert {row.role for row in roles if row.is_reference} == {"reference"}
    [check] = [row.source_id for row in roles if row.role == "check"]
    assert check not in {ids[0], ids[3], ids[4], ids[5], ids[6]}
    assert {row.method for row in roles} == {"manual"}
    raw = night.rows("SELECT source_id, image_id, flux_raw FROM light_curve WHERE aperture = 1 AND image_good")
    flux = {(row.source_id, row.image_id): row.flux_raw for row in raw}
    images = [image for image, good in zip(night.made.image_ids.tolist(), night.made.good, strict=True) if good]
    expected = np.array([flux[ids[3], i] / (flux[ids[4], i] + flux[ids[5], i]) for i in images])
    found = [row.flux_relative for row in night.rows(CURVES) if row.source_id == ids[3]]
    np.testing.assert_allclose(found, expected / np.median(expected))


def test_a_manual_star_that_is_not_there_fails_with_the_nearest(night: Night) -> None:
    with pytest.raises(DataError, match="no source within 5 px of star 9000,9000: the nearest is source"):
        calibrate(night, "manual", stars=NamedStars(targets=("9000,9000",)))


def test_references_by_the_other_methods_have_their_role(night: Night) -> None:
    pid = calibrate(night)
    roles = night.rows("SELECT role, is_reference, COUNT(*) FROM reference_star WHERE pid = :p GROUP BY 1, 2", p=pid)
    assert {(role, bool(reference)) for role, reference, _ in roles} == {("reference", True), (None, False)}
    variable = night.rows(
        "SELECT is_reference FROM reference_star WHERE pid = :p AND source_id = :s", p=pid, s=night.made.variable
    )
    assert not any(row.is_reference for row in variable)


def measured(settings: Settings) -> Graph:
    """A graph of two frames that are measured, with what is done for each method."""
    graph = Graph(1, settings, settings.choices, count(1))
    graph.made.update({"detect": [10], "extract": [11, 12]})
    graph.lay_out((CALIBRATE_RELATIVE, DETREND, ANALYZE), (), methods_of(settings.choices))
    return graph


def test_the_graph_carries_the_operators_choice() -> None:
    settings = load(
        relative_methods=("manual", "ensemble"),
        manual_targets=("17", "4.5,6"),
        manual_references=("18",),
        pick_references=7,
        detrend_method="sysrem",
    )
    graph = measured(settings)
    first, detrend, *rest = graph.processes
    assert [process.command for process in graph.processes] == [
        "calibrate_relative",
        "detrend",
        "analyze",
        "calibrate_relative",
        "analyze",
    ]
    parameters = CalibrateRelativeParameters.model_validate_json(first.parameters)
    assert parameters.stars.targets == ("17", "4.5,6")
    assert parameters.limits == PickLimits(references=7)
    assert detrend.required == (first.pid,)
    assert DetrendParameters.model_validate_json(detrend.parameters).stars == NamedStars(targets=("17", "4.5,6"))
    other = CalibrateRelativeParameters.model_validate_json(rest[1].parameters)
    assert other == CalibrateRelativeParameters(method="ensemble", default=False)
    bare = measured(load())
    assert "detrend" not in {process.command for process in bare.processes}


def test_an_observation_without_good_frames_is_told(night: Night) -> None:
    with night.sessions.begin() as session:
        session.execute(update(Verdict).values(good=False))
    with pytest.raises(DataError, match="no good frame with sources"):
        calibrate(night)
    with pytest.raises(DataError, match="none of 60 epochs is good"):
        night.run(DETREND, DetrendParameters(calibration=night.made.calibration_pid, method="tfa"))
    with night.sessions() as session:
        assert session.get_one(Observation, night.made.observation_id).detrend_pid is None
