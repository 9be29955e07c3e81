"""Relative fluxes that `analyze` asks for: a worker that made them has them as their rows do, and others read them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schema import database
from schema.processes import SUCCEEDED, Process
from schema.queries.measurements import RelativeFluxes, insert_relative_fluxes, relative_matrices
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import LocalImageStore
from services.steps.shared import graph_fluxes
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, keep_relative_fluxes, relative_fluxes
from services.steps.shared.step import Context
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID
from tests.unit.services.statements import statements_with

CALIBRATION_PID = GRAPH_PID + 900


@pytest.fixture
def context(session: Session, tmp_path: Path) -> Context:
    """Of a calibration that has succeeded, and whose light curves `calibrated` inserts."""
    number = made_up.add_observation(session)
    made_up.add_light_curves(session, number, np.random.default_rng(1))
    made_up.add_process(session, CALIBRATION_PID, "calibrate_relative", SUCCEEDED, number, graph_pid=GRAPH_PID)
    session.commit()
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    images = LocalImageStore(tmp_path)
    reading = database.reading_factory(engine)
    attempt = session.get_one(Process, CALIBRATION_PID).attempt
    return Context(CALIBRATION_PID, GRAPH_PID, number, reading, images, Deployment(), Choices(), attempt=attempt)


def calibrated(context: Context, session: Session, axes: GraphAxes, seed: int = 2) -> None:
    """Light curves with all that may lack: points, errors, and what is not finite; kept and inserted."""
    rng = np.random.default_rng(seed)
    curves = {}
    for aperture in axes.apertures:
        flux, error = rng.normal(1.0, 0.01, (2, axes.source_ids.size, axes.image_ids.size))
        flux[0, 0], flux[1, 1], error[2, 2], error[3, 3] = np.nan, np.inf, np.nan, np.inf
        curves[aperture] = RelativeFluxes(flux, error)
    keep_relative_fluxes(context, axes, curves)
    insert_relative_fluxes(session, context.pid, axes.source_ids, axes.image_ids, curves)
    session.commit()


def assert_as_in_the_table(context: Context, session: Session, axes: GraphAxes) -> None:
    found = dict(relative_fluxes(context, session, axes, CALIBRATION_PID))
    table = dict(relative_matrices(session, CALIBRATION_PID, axes.apertures, axes.source_ids, axes.image_ids))
    assert found.keys() == table.keys()
    for aperture, fluxes in table.items():
        assert np.isfinite(fluxes.flux).sum() == fluxes.flux.size - 2
        for one, other in zip(found[aperture], fluxes, strict=True):
            np.testing.assert_array_equal(one, other)


def test_who_made_them_does_not_read_them(context: Context, session: Session) -> None:
    axes = graph_axes(session, GRAPH_PID)
    calibrated(context, session, axes)
    assert_as_in_the_table(context, session, axes)
    read = statements_with("FROM relative_flux", session)
    some = dict(relative_fluxes(context, session, axes, CALIBRATION_PID, slice(2, 5)))
    assert read == []
    everything = dict(relative_fluxes(context, session, axes, CALIBRATION_PID))
    for aperture, fluxes in everything.items():
        np.testing.assert_array_equal(some[aperture].flux, fluxes.flux[2:5])
        np.testing.assert_array_equal(some[aperture].error, fluxes.error[2:5])
        with pytest.raises(ValueError, match="read-only"):
            fluxes.flux[0, 0] = 1.0


def test_another_worker_reads_them(context: Context, session: Session) -> None:
    axes = graph_axes(session, GRAPH_PID)
    calibrated(context, session, axes)
    read = statements_with("FROM relative_flux", session)
    other = Context(
        context.pid + 1, GRAPH_PID, context.observation_id, context.reading, context.images, Deployment(), Choices()
    )
    assert_as_in_the_table(other, session, axes)
    assert read


def test_an_attempt_that_did_not_succeed_is_not_believed(context: Context, session: Session) -> None:
    axes = graph_axes(session, GRAPH_PID)
    keep_relative_fluxes(replace(context, attempt=context.attempt + 1), axes, {})
    calibrated(context, session, axes)
    assert_as_in_the_table(context, session, axes)


def test_other_frames_are_read(context: Context, session: Session) -> None:
    axes = graph_axes(session, GRAPH_PID)
    calibrated(context, session, axes)
    fewer = replace(axes, image_ids=axes.image_ids[:-1])
    read = statements_with("FROM relative_flux", session)
    for _, fluxes in relative_fluxes(context, session, fewer, CALIBRATION_PID):
        assert fluxes.flux.shape == (axes.source_ids.size, axes.image_ids.size - 1)
    assert read


def test_many_are_read_as_they_are_needed(context: Context, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_fluxes, "RELATIVE_KEPT_BYTES", 1000)
    axes = graph_axes(session, GRAPH_PID)
    calibrated(context, session, axes)
    read = statements_with("FROM relative_flux", session)
    assert_as_in_the_table(context, session, axes)
    assert read
