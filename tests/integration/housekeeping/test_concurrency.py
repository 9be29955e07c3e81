"""Somebody else's transaction is open while `tianyu gc` decides: it waits, and then sees what they did."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from schema.image import CALIBRATED, MASTER_BIAS, TEMPLATE
from schema.observing import Observation
from schema.processes import FAILED, QUEUED, RUNNING, SUCCEEDED, WAITING, Process, ProcessDependence
from schema.queries import images, operating
from services.operating.housekeeping import Collection
from tests.integration.housekeeping.house import HERE, House

PATIENCE_S = 60.0
GRACE_S = 0.3  # on SQLite, in which a collection that did not wait would be over
WAITING_FOR_A_LOCK = text(
    "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() "
    "AND (info LIKE '%FOR UPDATE%' OR info LIKE '%LOCK IN SHARE MODE%' OR info LIKE '%FOR SHARE%')"
)


@contextmanager
def meanwhile(house: House) -> Iterator[tuple[Session, list[Collection]]]:
    """A transaction that is open when a collection begins, and is committed at the end of the block.

    The collection's result is in the list once the block is left.
    """
    results: list[Collection] = []
    began = threading.Event()

    def collect() -> None:
        began.set()
        results.append(house.collect())

    thread = threading.Thread(target=collect, daemon=True)
    with house.sessions() as session, session.begin():
        yield session, results
        thread.start()
        began.wait(PATIENCE_S)
        _until_it_waits(house, thread)
        assert thread.is_alive(), "the collection did not wait"
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    [result] = results
    assert result.failures == []


def _until_it_waits(house: House, thread: threading.Thread) -> None:
    """Return when the collection waits for a lock, or is over."""
    if house.engine.dialect.name == "sqlite":
        thread.join(GRACE_S)
        return
    with house.engine.connect() as connection:
        while thread.is_alive() and not connection.scalar(WAITING_FOR_A_LOCK):
            thread.join(0.02)


def add_process(session: Session, pid: int, observation: int, *, graph: int, status: str = WAITING) -> None:
    session.execute(
        insert(Process).values(
            pid=pid, graph_pid=graph, command="check", parameters="{}", site_id=HERE, group_id=1,
            observation_id=observation, status=status, created_at=house_time(session),
        )
    )  # fmt: skip


def house_time(session: Session) -> object:
    return session.scalars(select(Observation.created_at)).first()


def test_a_publisher_that_is_about_to_depend_on_a_master_keeps_it(house: House) -> None:
    bias = house.observation(2000, "bias")
    master = house.image(1000, bias, MASTER_BIAS, graph=1000)
    newer = house.image(2000, bias, MASTER_BIAS, graph=2000)
    light = house.observation(None)
    with meanwhile(house) as (session, _):
        add_process(session, 3000, light, graph=3000)
        session.execute(insert(ProcessDependence).values(parent_pid=1000, child_pid=3000, required=False))
    assert house.there() == house.live() == {master, newer}


def test_a_rerun_that_takes_a_file_over_keeps_it(house: House) -> None:
    """It locks the observation, as publishing does; nothing that it inserts refers to the old rows."""
    observation = house.observation(1)
    path = house.image(1, observation)
    house.image(5, observation, TEMPLATE)
    with meanwhile(house) as (session, _):
        session.scalars(select(Observation).where(Observation.observation_id == observation).with_for_update()).one()
        add_process(session, 100, observation, graph=100, status=SUCCEEDED)
        add_process(session, 101, observation, graph=100)
        session.execute(insert(ProcessDependence).values(parent_pid=100, child_pid=101, required=True))
        image_id = images.add_image(
            session,
            kind=CALIBRATED,
            site_id=HERE,
            path="of its own",
            observation_id=observation,
            pid=100,
            graph_pid=100,
        )
        image = images.by_id(session, image_id)
        image.path = path
    assert path in house.there()
    assert path in house.live()


def test_a_retry_keeps_what_it_will_need_before_while_and_after_it_is_committed(house: House) -> None:
    observation = house.observation(1)
    path = house.image(1, observation)
    house.process(2, observation, 1, status=FAILED)
    with house.sessions() as session, session.begin():
        changed = operating.retry(session, [2], more_attempts=3)
        assert changed
        if house.engine.dialect.name != "sqlite":  # there, one writer waits for the other
            results: list[Collection] = []
            thread = threading.Thread(target=lambda: results.append(house.collect()), daemon=True)
            thread.start()
            thread.join(PATIENCE_S)
            assert [result.removed for result in results] == [[]], "the collection stood in a retry's way"
    assert house.collect().removed == []
    for status in (QUEUED, RUNNING):
        house.set_status(2, status)
        assert house.collect().removed == []
    assert house.there() == {path}
    house.set_status(2, SUCCEEDED)
    assert [item.files for item in house.collect().removed] == [1]


def test_an_orphan_whose_process_is_being_retried_stays(house: House) -> None:
    observation = house.observation(1)
    house.process(2, observation, status=FAILED)
    path = f"{CALIBRATED}/{observation}/2.fits"
    house.file(path, 7200.0)
    with meanwhile(house) as (session, _):
        operating.retry(session, [2], more_attempts=3)
    assert house.there() == {path}


def test_two_collections_at_once_remove_each_file_once(house: House) -> None:
    observation = house.observation(1)
    for pid in range(1, 41):
        house.image(pid, observation)
    results: list[Collection] = []
    threads = [threading.Thread(target=lambda: results.append(house.collect()), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(results) == 3
    assert [failure for result in results for failure in result.failures] == []
    assert sum(item.files for result in results for item in result.removed) == 40
    assert house.there() == house.live() == set()
