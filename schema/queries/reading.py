"""Who makes the result of what was read: found when a process is claimed, by a key that was not known before."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.image import Image
from schema.prepared import Batch, Prepared, run
from schema.processes import RUNNING, SUCCEEDED, Process, ProcessDependence, ReadKey
from schema.queries.adopting import take_over_found
from schema.queries.outdated import OUTDATED, Outdated
from schema.queries.scheduling import PIDS

_key, _process, _image = table_of(ReadKey), table_of(Process), table_of(Image)
_dependence = table_of(ProcessDependence)
_of_key = _key.c.read_key == bindparam("key")
_TOLD = Prepared(select(_process.c.pid, _process.c.result_key, _process.c.generation).where(_process.c.pid.in_(PIDS)))
_MAKER = Prepared(
    select(_process.c.pid, _process.c.status, _process.c.parameters, _process.c.slow_attempt)
    .join(_key, _key.c.pid == _process.c.pid)
    .where(_of_key)
)
_BEGIN = Prepared(insert(_key).values(read_key=bindparam("key"), pid=bindparam("maker")))
_REPLACE = Prepared(
    update(_key).where(_of_key, _key.c.pid == bindparam("former")).values(pid=bindparam("maker", type_=_key.c.pid.type))
)
_before = select(_process.c.pid).where(_process.c.pid.in_(PIDS)).cte("before", recursive=True)
_before = _before.union(
    select(_dependence.c.parent_pid).join(_before, _before.c.pid == _dependence.c.child_pid),
)
_OUTDATED = Prepared(OUTDATED.join(_before, _before.c.pid == Outdated.pid).limit(1))
_TAKEN_OVER = Prepared(
    update(_process).where(_process.c.pid == bindparam("held_pid")).values(origin_pid=bindparam("origin"))
)
_IMAGES = Prepared(select(_image.c.pid, _image.c.image_id).where(_image.c.pid.in_(PIDS)))


class Maker(NamedTuple):
    """The process that makes a result, or made it."""

    pid: int
    status: str
    parameters: str
    slow_attempt: int | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether its result may be there soon."""
        return self.status == RUNNING or self.slow_attempt is not None

    @property
    def has_succeeded(self) -> bool:
        """Whether its result is there."""
        return self.status == SUCCEEDED


class Read(NamedTuple):
    """A process whose result another reads."""

    pid: int
    result_key: str | None
    generation: int


def choice(made_by: Select[int | None]) -> Prepared:
    """Whose result a choice stands for, as `read` asks it; the query is told ``told``, the PID that chose."""
    columns = (_process.c.pid, _process.c.result_key, _process.c.generation)
    return Prepared(select(*columns).where(_process.c.pid == made_by.scalar_subquery()))


def read(connection: Connection, pids: Collection[int], chosen: Mapping[int, Prepared]) -> dict[int, Read]:
    """Processes by PID, in the place of those that choose (``chosen``) whose results they chose, where they did."""
    asked = [_TOLD(pids=sorted(pids)), *(query(told=pid) for pid, query in chosen.items())]
    told, *choices = run(connection, *asked)
    found = {row[0]: Read(*row) for row in told.rows if row[0] not in chosen}
    return found | {pid: Read(*rows[0]) for pid, (_, rows) in zip(chosen, choices, strict=True) if rows}


def maker_of(connection: Connection, read_key: str) -> Maker | None:
    """Who has the key; None where nobody does."""
    [(_, rows)] = run(connection, _MAKER(key=read_key))
    return Maker(*rows[0]) if rows else None


def is_outdated(connection: Connection, pids: Collection[int]) -> bool:
    """Whether one of these, or a process that they came from, ran before something that it waits for ended.

    Results of theirs are not those of their keys then (`outdated.unlike_their_keys`).
    """
    [(_, rows)] = run(connection, _OUTDATED(pids=sorted(pids)))
    return bool(rows)


def become_maker(read_key: str, pid: int, instead: Maker | None) -> Batch[bool]:
    """Let a process have a key that nobody has, or another in vain; False where somebody was faster.

    Running it raises IntegrityError where somebody was who has it for the first time.
    """
    who = {"key": read_key, "maker": pid}
    call = _BEGIN(**who) if instead is None else _REPLACE(**who, former=instead.pid)
    return Batch((call,), lambda found: found[0].changed == 1)


def take_over(session: Session, maker: int, pid: int, told: Mapping[int, int], tables: Collection[Table]) -> None:
    """Give a process the rows of the one that made its result.

    ``told``: PIDs that the maker was told of, and those that the process is: images of these stand for images of those.
    """
    pids: list[Any] = sorted({*told, *told.values()})
    _, (_, images) = run(session, _TAKEN_OVER(held_pid=pid, origin=maker), _IMAGES(pids=pids))
    by_pid = dict(images)
    new_ids = {by_pid[old]: by_pid[new] for old, new in told.items() if old in by_pid and new in by_pid}
    for table in tables:
        take_over_found(session, table, {maker: pid}, new_ids)
