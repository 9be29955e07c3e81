"""What one call of the publisher publishes."""

from collections import Counter
from dataclasses import dataclass, field

from schema.queries.publishing import NewProcess
from services.choices import Choices

Masters = dict[str, int]  # PIDs of the processes that make an observation's masters, by command


@dataclass
class Publication:
    """What one call publishes."""

    observation_id: int
    choices: Choices
    graph_pid: int | None = None  # of the observation that was asked for
    processes: list[NewProcess] = field(default_factory=list)
    taken_over: dict[int, int] = field(default_factory=dict)  # new PIDs by those of earlier graphs
    reused: Counter[str] = field(default_factory=Counter)  # by command, of the observation that was asked for
    notes: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)  # of the notes, those on choices that differ from a graph's
    of_template: str = ""  # the note on the template that frames which came later are measured on, where there are some
    says: str = ""  # why nothing is published

    def again(self) -> list[NewProcess]:
        """The processes that will run."""
        done = set(self.taken_over.values())
        return [process for process in self.processes if process.pid not in done]

    def runs(self) -> Counter[str]:
        """Those that will run, by command."""
        return Counter(process.command for process in self.again())

    def counts(self) -> Counter[str]:
        """Processes by command."""
        return Counter(process.command for process in self.processes)
