"""Two people publish at once: what both need is published by one of them."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from schema import database
from schema.processes import Process, ProcessGroup
from services.engine.publisher.publication import Publication
from services.engine.publisher.publish import Publisher
from services.settings import Settings
from tests.unit.services import made_up

MASTERS = {"stack_bias", "stack_dark", "calibrate_flat", "combine_flat"}
ROUNDS = 4  # of lights and darks, which lock each other's observations in no order of their own


@dataclass
class Observatory:
    """Observations that were never taken; each publisher has a connection of its own."""

    engine: Engine
    sessions: sessionmaker[Session]
    settings: Settings

    def observe(self, kind: str, name: str) -> int:
        with self.sessions.begin() as session:
            number = made_up.add_observation(session, kind, name=name)
            made_up.add_frames(session, number, 3, kind)
        return number

    def publish_at_once(self, *observations: int) -> list[Publication]:
        """Each by a thread of its own, as `tianyu publish` does."""
        barrier = threading.Barrier(len(observations))
        done: dict[int, Publication] = {}
        errors: list[BaseException] = []

        def publish(place: int, observation: int) -> None:
            barrier.wait()
            try:
                done[place] = database.transact(
                    self.sessions, lambda session: Publisher(session, self.settings).publish(observation)
                )
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=publish, args=item) for item in enumerate(observations)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        return [done[place] for place in range(len(observations))]

    def processes(self) -> list[Process]:
        with self.sessions() as session:
            return list(session.scalars(select(Process).order_by(Process.pid)))


@pytest.fixture
def observatory(each_ready_url: str) -> Iterator[Observatory]:
    engine = database.connect(each_ready_url)
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        made_up.base_rows(session)
        session.add(ProcessGroup(group_id=2, name="gpu"))
    yield Observatory(engine, sessions, Settings(database_url=SecretStr(each_ready_url), catalog="none"))
    engine.dispose()


def assert_each_is_made_once(processes: Sequence[Process]) -> None:
    keys = Counter(process.result_key for process in processes)
    assert None not in keys
    assert set(keys.values()) == {1}


def test_one_observation_gets_one_graph(observatory: Observatory) -> None:
    observatory.observe("bias", "bias")
    observation = observatory.observe("light", "HAT-P-32")
    first, second = sorted(observatory.publish_at_once(observation, observation), key=lambda one: len(one.processes))
    assert first.processes == []
    assert "is at work" in first.says
    assert first.graph_pid == second.graph_pid
    assert [process.pid for process in observatory.processes()] == [process.pid for process in second.processes]
    assert_each_is_made_once(observatory.processes())


def test_masters_that_two_observations_need_are_made_once(observatory: Observatory) -> None:
    for kind in ("bias", "dark", "flat"):
        observatory.observe(kind, kind)
    lights = [observatory.observe("light", name) for name in ("HAT-P-32", "WASP-12")]
    published = observatory.publish_at_once(*lights)
    assert_each_is_made_once(observatory.processes())
    makers = [MASTERS & set(publication.counts()) for publication in published]
    assert sorted(makers, key=len) == [set(), MASTERS]
    needs = [
        {pid for process in publication.processes for pid in process.required if process.command == "calibrate"}
        for publication in published
    ]
    assert needs[0] == needs[1]
    assert len(needs[0]) == len({"bias", "dark", "flat"})


def test_masters_are_published_beside_what_needs_them(observatory: Observatory) -> None:
    kinds = ("bias", "dark", "flat")
    numbers = [observatory.observe(kind, kind) for kind in kinds]
    for number in range(ROUNDS):
        light = observatory.observe("light", f"star {number}")
        observatory.publish_at_once(light, *reversed(numbers))
        assert_each_is_made_once(observatory.processes())
