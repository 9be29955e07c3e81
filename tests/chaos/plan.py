"""What happens when: a seed gives kinds of disturbances at points of progress, and the same seed the same again."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

MOST_JITTER_S = 0.15  # after its point of progress, so that all phases of a process are hit: several times its length


class Kind(Enum):
    """A disturbance; the value is how figures and logs call it."""

    WORKER = "worker killed"
    CONSUMER = "consumer killed, its workers left alone"
    HOST = "consumer and its workers killed"
    MANAGER = "active manager killed"
    STANDBY = "standby manager killed"
    BROKER = "RabbitMQ killed"
    DATABASE = "database server killed"
    CUT_BROKER = "connections to RabbitMQ cut"
    CUT_DATABASE = "database sessions ended by KILL"
    CUT_PROGRAM = "one program cut off from both servers"
    FROZEN_CONSUMER = "consumer and workers frozen beyond their lease"
    FROZEN_WORKER = "worker frozen, its consumer not"
    SLOW_WORKER = "worker slowed to a few percent, its consumer not"
    FROZEN_MANAGER = "active manager frozen, its lock taken over"
    FROZEN_NETWORK = "consumer's database connections held up beyond a lease"
    DUPLICATES = "messages sent twice"
    LATE = "messages of finished attempts"
    EARLY = "messages of processes that still wait"
    REVERSED = "queue put into the opposite order"
    LOST = "queue emptied"
    GARBAGE = "messages that nobody can read"
    PUBLISHER = "published again, and the publisher killed or not"
    RESTART = "program stopped by SIGTERM, and started again"
    TREE = "whole `tianyu run` killed"
    MAIN = "`tianyu run` killed, its consumers left alone"


KILLS: Mapping[Kind, int] = {  # shares of the SIGKILLs
    Kind.WORKER: 8,
    Kind.CONSUMER: 7,
    Kind.HOST: 4,
    Kind.MANAGER: 5,
    Kind.STANDBY: 1,
    Kind.BROKER: 3,
    Kind.DATABASE: 4,
}
OTHERS: Mapping[Kind, int] = {  # for as many kills as the shares above add up to
    Kind.CUT_BROKER: 2,
    Kind.CUT_DATABASE: 2,
    Kind.CUT_PROGRAM: 2,
    Kind.FROZEN_CONSUMER: 2,
    Kind.FROZEN_WORKER: 1,
    Kind.SLOW_WORKER: 2,
    Kind.FROZEN_MANAGER: 1,
    Kind.FROZEN_NETWORK: 1,
    Kind.DUPLICATES: 3,
    Kind.LATE: 2,
    Kind.EARLY: 2,
    Kind.REVERSED: 2,
    Kind.LOST: 1,
    Kind.GARBAGE: 1,
    Kind.PUBLISHER: 2,
}
# These start no attempt and end none; an emptied queue only delays.
HARMLESS = frozenset({Kind.DUPLICATES, Kind.LATE, Kind.EARLY, Kind.REVERSED, Kind.LOST, Kind.GARBAGE, Kind.PUBLISHER})
EMBEDDED: Mapping[Kind, int] = {Kind.TREE: 4, Kind.MAIN: 1, Kind.WORKER: 1, Kind.CONSUMER: 1}


@dataclass(frozen=True)
class Event:
    """One disturbance, as soon as so many processes have succeeded and a moment more."""

    kind: Kind
    succeeded: int
    jitter_s: float
    seed: int  # for the choices that it makes

    def generator(self) -> random.Random:
        """The event's own random numbers."""
        return random.Random(self.seed)


def make_plan(seed: int, processes: int, kills: int) -> list[Event]:
    """Events over a graph of ``processes``, in order; every kind has its share, at least one."""
    whole = sum(KILLS.values())
    kinds = _shares(KILLS, kills)
    kinds += [kind for kind, share in OTHERS.items() for _ in range(max(1, round(share * kills / whole)))]
    return _spread(seed, processes, kinds)


def make_embedded_plan(seed: int, processes: int, kills: int) -> list[Event]:
    """Kills over a graph of ``processes`` in the embedded mode; the first comes before any has succeeded."""
    first, *others = _spread(seed, processes, _shares(EMBEDDED, kills))
    return [Event(Kind.TREE, 0, first.jitter_s * 10, first.seed), *others]


def make_restart_plan(seed: int, processes: int, programs: int) -> list[Event]:
    """Each of ``programs`` is restarted once, one after the other, over a graph of ``processes``."""
    return _spread(seed, processes, [Kind.RESTART] * programs)


def _shares(shares: Mapping[Kind, int], count: int) -> list[Kind]:
    """``count`` kinds by their shares: each its whole part, at least one; the largest remainders fill up."""
    if count < len(shares):
        raise ValueError(f"{count} kills are too few: there are {len(shares)} kinds of them")
    whole = sum(shares.values())
    given = {kind: max(1, share * count // whole) for kind, share in shares.items()}
    while sum(given.values()) > count:
        given[max(given, key=lambda kind: given[kind])] -= 1
    while sum(given.values()) < count:
        given[max(shares, key=lambda kind: shares[kind] * count / whole - given[kind])] += 1
    return [kind for kind, number in given.items() for _ in range(number)]


def _spread(seed: int, processes: int, kinds: Sequence[Kind]) -> list[Event]:
    """``kinds`` in a random order, evenly over the progress but for the half of a step."""
    generator = random.Random(seed)
    order = list(kinds)
    generator.shuffle(order)
    step = (processes - 1) / len(order)
    events = []
    for number, kind in enumerate(order):
        point = int((number + generator.uniform(0.25, 0.75)) * step)
        events.append(Event(kind, point, generator.uniform(0, MOST_JITTER_S), generator.getrandbits(32)))
    return events
