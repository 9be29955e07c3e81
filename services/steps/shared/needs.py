"""What a process stands for, what it needs, and how it is told: facts of which the publisher lays out graphs."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

# Whose template the frames of a graph are measured on: their own stack, or another night's, which is there already.
Template = Literal["own", "known"]
OWN: Template = "own"
KNOWN: Template = "known"


class Each(Enum):
    """What one process of a step is for."""

    OBSERVATION = "observation"
    FRAME = "frame"
    TREE = "tree"  # some frames or some nodes below; one process at the root is for all
    METHOD = "method"  # of relative calibration
    SHOWN = "shown method"  # the one method that the views show

    @property
    def item(self) -> Literal["frame", "method"] | None:
        """Of what there are several, with a process for each."""
        if self is Each.FRAME:
            return "frame"
        return "method" if self in (Each.METHOD, Each.SHOWN) else None


class Wait(Enum):
    """What a process waits for before it runs."""

    REQUIRED = "required"  # the other must succeed
    WHERE_THERE = "required where there is one"  # a graph without it goes on without; one that failed is no lack
    SOME = "some"  # all must be finished, and one of them must have succeeded
    OPTIONAL = "optional"  # the other must only be finished: what it made is used where it is there
    NOT = "not"  # it is named in the parameters; something else that is waited for comes behind it


@dataclass(frozen=True)
class Need:
    """Processes of other steps that a process needs, and the parameter in which it is told their PIDs.

    Between two steps of a frame that is the frame's own process (so with methods), of a tree its root; else all that
    there are. What a graph does not have, nobody waits for; without what is required there is no process.
    """

    commands: tuple[str, ...]
    wait: Wait
    into: str | None = None  # parameter that takes one PID, the newest
    all_into: str | None = None  # parameter that takes all PIDs
    template: Template | None = None  # only in graphs with this template
    at_root: bool = False  # of a tree: only its root needs it
    or_no_good: bool = False  # of some: it begins too where all are no good by the data's fault, for it says so

    @property
    def must_succeed(self) -> bool:
        """Whether a process without success costs the one that needs it."""
        return self.wait in (Wait.REQUIRED, Wait.WHERE_THERE)

    @property
    def is_told(self) -> bool:
        """Whether the parameters name it."""
        return self.into is not None or self.all_into is not None


def required(command: str, into: str | None = None, *, template: Template | None = None, at_root: bool = False) -> Need:
    """What must succeed first."""
    return Need((command,), Wait.REQUIRED, into, template=template, at_root=at_root)


def required_where_there(command: str, into: str, *, at_root: bool = False) -> Need:
    """What must succeed first where the graph has it: a master, of an observation that has such frames."""
    return Need((command,), Wait.WHERE_THERE, into, at_root=at_root)


def some_of(command: str, all_into: str | None = None, *, or_no_good: bool = False) -> Need:
    """What must be finished first, and one of it successfully: of nothing nothing can be made."""
    return Need((command,), Wait.SOME, all_into=all_into, or_no_good=or_no_good)


def optional(
    *commands: str,
    into: str | None = None,
    all_into: str | None = None,
    template: Template | None = None,
    at_root: bool = False,
) -> Need:
    """What must be finished first, with or without success."""
    return Need(commands, Wait.OPTIONAL, into, all_into, template, at_root)


def named(command: str, into: str, *, template: Template | None = None) -> Need:
    """What is finished by then."""
    return Need((command,), Wait.NOT, into, template=template)
