"""Raw fluxes that several steps of a graph ask for: read once, and again as soon as an `extract` has added some."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, delete, insert
from sqlalchemy.orm import Session

from schema import database
from schema.photometry import Flux
from schema.processes import SUCCEEDED, Process
from schema.queries.measurements import flux_matrices
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import LocalImageStore
from services.steps.shared import graph_fluxes
from services.steps.shared.graph_fluxes import GraphAxes, graph_axes, raw_fluxes
from services.steps.shared.step import Context
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp
from tests.unit.services.statements import statements_with

EXTRACT_PID = GRAPH_PID + 900


@pytest.fixture
def made(session: Session) -> MadeUp:
    return made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))


@pytest.fixture
def context(session: Session, made: MadeUp, tmp_path: Path) -> Context:
    session.commit()
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    reading = database.reading_factory(engine)
    return Context(
        made.analysis_pid, GRAPH_PID, made.observation_id, reading, LocalImageStore(tmp_path), Deployment(), Choices()
    )


def assert_as_in_the_table(context: Context, session: Session, axes: GraphAxes) -> None:
    found = dict(raw_fluxes(context, session, axes))
    table = dict(flux_matrices(session, axes.apertures, axes.source_ids, axes.image_ids))
    assert found.keys() == table.keys()
    for aperture, fluxes in table.items():
        for one, other in zip(found[aperture], fluxes, strict=True):
            np.testing.assert_array_equal(one, other)


def test_they_are_read_once(context: Context, session: Session) -> None:
    axes = graph_axes(session, GRAPH_PID)
    assert_as_in_the_table(context, session, axes)
    read = statements_with("FROM flux", session)
    rows = np.array([7, 3])
    [(aperture, some)] = raw_fluxes(context, session, axes, rows, axes.apertures[1:2])
    [(_, all_of_it)] = raw_fluxes(context, session, axes, apertures=axes.apertures[1:2])
    assert read == []
    assert aperture == axes.apertures[1]
    np.testing.assert_array_equal(some.flux, all_of_it.flux[rows])
    with pytest.raises(ValueError, match="read-only"):
        all_of_it.flux[0, 0] = 1.0


def test_what_an_extract_adds_later_is_there(context: Context, session: Session, made: MadeUp) -> None:
    """A frame that failed, and is extracted after `tianyu retry`."""
    late = int(made.image_ids[4])
    session.execute(delete(Flux).where(Flux.image_id == late))
    session.commit()
    axes = graph_axes(session, GRAPH_PID)
    assert_as_in_the_table(context, session, axes)
    made_up.add_process(session, EXTRACT_PID, "extract", SUCCEEDED, made.observation_id, graph_pid=GRAPH_PID)
    row = {"image_id": late, "aperture": axes.apertures[0], "flux": 5.0, "flux_error": 1.0, "flag": 0}
    session.execute(insert(Flux), [{**row, "source_id": source} for source in axes.source_ids.tolist()])
    session.commit()
    assert_as_in_the_table(context, session, axes)
    flux = dict(raw_fluxes(context, session, axes))[axes.apertures[0]].flux
    assert (flux[:, axes.image_ids.tolist().index(late)] == 5.0).all()
    session.get_one(Process, EXTRACT_PID).attempt = 2
    session.commit()
    read = statements_with("FROM flux", session)
    list(raw_fluxes(context, session, axes))
    assert read, "another attempt may have written others"


def test_a_large_graph_is_read_as_it_is_needed(
    context: Context, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_fluxes, "RAW_KEPT_BYTES", 1000)
    axes = graph_axes(session, GRAPH_PID)
    assert_as_in_the_table(context, session, axes)
    read = statements_with("FROM flux", session)
    assert_as_in_the_table(context, session, axes)
    assert read
