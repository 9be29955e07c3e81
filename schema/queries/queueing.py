"""The process table as a queue, where there is no broker: what is queued, and whether something has ended.

Nothing is taken here. Who claims a process first has it, as with a message.
"""

from collections.abc import Sequence

from sqlalchemy import Integer, bindparam, false, func, or_, select

from schema.base import table_of
from schema.prepared import Batch, Prepared
from schema.processes import FINISHED, QUEUED, Process, ProcessGroup, Site
from schema.queries.scheduling import READY_INDEX

_process = table_of(Process)
_ADDRESSED = (
    _process.c.status == QUEUED,
    _process.c.pending == 0,  # always so; named for the index
    _process.c.site_id == select(Site.site_id).where(Site.name == bindparam("site")).scalar_subquery(),
    _process.c.group_id.in_(
        select(ProcessGroup.group_id).where(ProcessGroup.name.in_(bindparam("groups", expanding=True)))
    ),
)
QUEUED_FOR = (
    select(
        _process.c.pid,
        _process.c.attempt,
        select(ProcessGroup.name).where(ProcessGroup.group_id == _process.c.group_id).scalar_subquery(),
    )
    .where(*_ADDRESSED, or_(_process.c.slow_consumer.is_(None), _process.c.slow_consumer != bindparam("consumer")))
    .order_by(_process.c.priority, _process.c.pid)
    .limit(bindparam("most", type_=Integer))
    .with_hint(_process, f"FORCE INDEX ({READY_INDEX})", "mysql")
    .with_hint(_process, f"FORCE INDEX ({READY_INDEX})", "mariadb")
)
_QUEUED_FOR = Prepared(QUEUED_FOR)
_COUNT = Prepared(select(func.count()).where(*_ADDRESSED))
HAS_ENDED = select(_process.c.pid).where(_process.c.propagated == false(), _process.c.status.in_(FINISHED)).limit(1)
_HAS_ENDED = Prepared(HAS_ENDED)


def queued(site: str, groups: Sequence[str], consumer: str, most: int) -> Batch[list[tuple[int, int, str]]]:
    """(pid, next attempt, group) of up to ``most`` queued processes, in the order in which they should run.

    None that ``consumer`` may not claim, because it has the slow attempt beside which another was offered.
    """
    look = _QUEUED_FOR(site=site, groups=list(groups), consumer=consumer, most=most)
    return Batch([look], lambda found: [(pid, attempt + 1, group) for pid, attempt, group in found[0].rows])


def count_queued(site: str, group: str) -> Batch[int]:
    """How many processes are queued and not yet claimed."""
    return Batch([_COUNT(site=site, groups=[group])], lambda found: int(found[0].rows[0][0]))


def has_ended() -> Batch[bool]:
    """Whether a process has ended that its children do not know of."""
    return Batch([_HAS_ENDED()], lambda found: bool(found[0].rows))
