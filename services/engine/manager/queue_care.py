"""Queues that are not as they should be: written down for people, and made anew where that helps.

A quorum queue can lose its leader for good (a broker that was killed, a node that is gone): it then confirms nothing,
while all else of the broker works. Its messages are only hints, the database knows what is queued: such a queue is
deleted and declared anew.
"""

from collections.abc import Sequence
from functools import partial

from schema import database
from schema.database import Sessions
from schema.queries import queue_states, scheduling
from schema.queries.queue_states import Seen
from schema.queries.scheduling import Queue
from services.engine.broker import Broker, event_queue, work_queue
from services.engine.manager.outbox import Outbox
from services.engine.troubles import BROKER, Troubles
from services.errors import TransientError
from services.log import get_logger

log = get_logger("manager")
SILENT_S = 10.0  # from then on people are told
REPLACED_S = 30.0  # a queue that has taken nothing for so long, while others do
DEAD_LETTERS_KEPT = 1000  # of a queue, the newest


class QueueCare:
    """Looks after the queues of one connection to the broker, once a sweep."""

    def __init__(self, broker: Broker, outbox: Outbox, sessions: Sessions, troubles: Troubles) -> None:
        self._broker = broker
        self._outbox = outbox
        self._sessions = sessions
        self._troubles = troubles
        self._noted: object = None

    def look(self, queues: Sequence[Queue]) -> None:
        """See what is silent and what was put aside.

        Raises:
            TransientError: a queue was made anew: the connection must be, too.
        """
        silent = self._outbox.silent(SILENT_S)
        blocked = f"the broker takes no messages: {self._broker.blocked}" if self._broker.blocked else ""
        seen = []
        for queue in queues:
            name = work_queue(queue.site, queue.group)
            dead = self._broker.dead_letters(name, DEAD_LETTERS_KEPT)
            silence = silent.get(name)
            if silence is None:
                self._troubles.ended(name)
                if dead:
                    seen.append(Seen(queue.site_id, queue.group_id, None, None, dead))
                continue
            why = blocked or silence.why
            self._troubles.began(name, f"queue {name} takes no messages: {why}")
            seen.append(Seen(queue.site_id, queue.group_id, silence.seconds, why, dead))
        if blocked:
            self._troubles.began(BROKER, blocked)
        else:
            self._troubles.ended(BROKER)
        self._note(seen)
        if silent and not blocked:
            self._replace(queues)

    def _note(self, seen: Sequence[Seen]) -> None:
        """Write it down where it is not what was written last, but for how long it lasts."""
        news = [(one.site_id, one.group_id, one.reason, one.dead_letters) for one in seen]
        if news != self._noted:
            database.transact(self._sessions, partial(queue_states.note, seen=seen))
            self._noted = news

    def _replace(self, queues: Sequence[Queue]) -> None:
        for site in sorted({queue.site for queue in queues}):
            self._outbox.probe(event_queue(site))  # whether the broker takes anything at all
        if not self._outbox.confirmed_within(SILENT_S):
            return
        dead = self._outbox.silent(REPLACED_S)
        replaced = []
        for queue in queues:
            name = work_queue(queue.site, queue.group)
            if name not in dead:
                continue
            log.warning("queue takes no messages, making it anew", queue=name, reason=dead[name].why)
            self._broker.replace(name)
            forget = partial(scheduling.forget_sent, site=queue.site, group=queue.group, seconds=0.0)
            database.transact(self._sessions, forget)
            replaced.append(name)
        if replaced:
            raise TransientError(f"{', '.join(replaced)} took no messages while others did: deleted and declared anew")
