"""Early cutoff: what a process really reads is looked at when it is claimed, and a result of the same is taken over.

Of a choosing step only the choice concerns it (`Step.read_of`): the reference frame, not the vote. That is known when
the choice is made, long after the graph was published.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema import database
from schema.attempts import Claim
from schema.base import table_of
from schema.queries import reading
from schema.queries.reading import Maker, Read
from services.choices import Choices
from services.log import get_logger
from services.steps.shared.step import AnyStep, Outputs
from services.steps.shared.told import key, replaced

FIRST_PAUSE_S, MOST_PAUSE_S = 0.02, 0.5  # between two looks at one that makes the same

log = get_logger("cutoff")


class Looked(NamedTuple):
    """What a process reads, who makes the result of that, and whether it is there."""

    read_key: str
    maker: Maker | None
    is_there: bool


class Cutoff:
    """Two connections: one that only reads, and the worker's."""

    def __init__(self, reads: database.Transactions[Connection], writes: database.Transactions[Connection]) -> None:
        self._reads, self._writes = reads, writes

    def made_before(self, step: AnyStep, claim: Claim, choices: Choices) -> Outputs | None:
        """What gives a process the result of another that read the same; None: it has to be made.

        From then on this process is the one that makes it: who reads the same meanwhile waits for its end.
        """
        if not step.read_of:
            return None
        try:
            told = _told(step, claim.parameters)
        except ValidationError:
            return None  # the step says so
        pause = FIRST_PAUSE_S
        while not told.keys().isdisjoint(step.read_of):
            looked = database.transact(self._reads, lambda connection: _look(connection, step, claim, choices, told))
            if looked is None or (looked.maker is not None and looked.maker.pid == claim.pid):
                break
            if looked.maker is not None and looked.is_there:
                return _taking_over(step, claim, told, looked.maker)
            if looked.maker is not None and looked.maker.is_at_work:
                time.sleep(pause)
                pause = min(2 * pause, MOST_PAUSE_S)
            elif self._become_maker(looked, claim.pid):
                break
        return None

    def _become_maker(self, looked: Looked, pid: int) -> bool:
        become = reading.become_maker(looked.read_key, pid, looked.maker)
        try:
            return database.transact(self._writes, become.commit)
        except IntegrityError:
            return False


def _look(
    connection: Connection, step: AnyStep, claim: Claim, choices: Choices, told: Mapping[str, int]
) -> Looked | None:
    mine = read_by(connection, step, claim.pid, told)
    read_key = key_of_read(step, claim, choices, mine)
    if read_key is None:
        return None
    maker = reading.maker_of(connection, read_key)
    if maker is None or not maker.has_succeeded or maker.pid == claim.pid:
        return Looked(read_key, maker, is_there=False)
    # Nothing of what one or the other read may have ended anew since it was read: its key says what it should be.
    theirs = read_by(connection, step, maker.pid, _told(step, maker.parameters))
    pids = {read.pid for read in (*mine.values(), *theirs.values())} - {claim.pid}
    return Looked(read_key, maker, is_there=not reading.is_outdated(connection, pids))


def read_by(connection: Connection, step: AnyStep, pid: int, told: Mapping[str, int]) -> dict[int, Read]:
    """Itself, and whose results a process reads, by the PIDs that it is told; what was not chosen is not there."""
    chosen = {told[name]: query for name, query in step.read_of.items() if name in told}
    return reading.read(connection, {pid, *told.values()}, chosen)


def key_of_read(step: AnyStep, claim: Claim, choices: Choices, read: Mapping[int, Read]) -> str | None:
    """Key of what a process reads; None where one of the keys in it is not known."""
    keys = {pid: one.result_key for pid, one in read.items() if one.result_key is not None}
    try:
        parameters = replaced(step, claim.parameters, keys.__getitem__)
    except KeyError:
        return None
    return key(step, parameters, read[claim.pid].generation, choices.values())


def _told(step: AnyStep, parameters: str) -> dict[str, int]:
    """PIDs that a process is told, by parameter."""
    values = replaced(step, parameters, lambda pid: pid)
    names = [need.into for need in step.needs]
    return {name: values[name] for name in names if name is not None and values[name] is not None}


def _taking_over(step: AnyStep, claim: Claim, mine: Mapping[str, int], maker: Maker) -> Outputs:
    log.debug("made before", origin_pid=maker.pid)
    theirs = _told(step, maker.parameters)
    told = {theirs[name]: pid for name, pid in mine.items()}
    tables = [table_of(table) for table in step.tables]

    def write(session: Session) -> None:
        reading.take_over(session, maker.pid, claim.pid, told, tables)

    return write
