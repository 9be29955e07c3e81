"""What every step is: a command's name, the parameters it takes, a function of (context, parameters), and its facts."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.orm import Session, sessionmaker

from pipeline.errors import UnusableDataError
from schema.base import Base
from schema.observing import LIGHT
from schema.prepared import Prepared
from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError, DataError
from services.image_store import ImageStore
from services.steps.shared.needs import Each, Need, Template, Wait, some_of
from services.steps.shared.some_inputs import require_some

GRAPHS_KEPT = 2  # of which a worker keeps what their processes share, unless it is large


class Parameters(BaseModel):
    """Base of all parameters: frozen and closed, so that a typo in a row is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Found = TypeVar("Found")


class Kept:
    """What steps worked out for all processes of a graph: a worker makes one, and it ends with the worker."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._found: dict[str, dict[Hashable, Any]] = {}

    def once(self, kind: str, key: Hashable, make: Callable[[], Found], most: int) -> Found:
        """What was made of this kind by this key, made now if it is not among the ``most`` newest.

        None is not kept: what is not there yet may be there later.
        """
        kept = self._found.setdefault(kind, {})
        found: Found = kept[key] if key in kept else make()
        if found is not None:
            kept[key] = found
        while len(kept) > most:
            del kept[next(iter(kept))]
        return found


@dataclass(frozen=True)
class Context:
    """What a step may use. ``reading`` opens sessions for its inputs; outputs are written by the one who called it.

    ``choices`` are those of the process's row, whatever is set on the machine that runs it. ``last_attempt``: what is
    missing now is missing for good, no later attempt will look again.
    """

    pid: int
    graph_pid: int
    observation_id: int | None
    reading: sessionmaker[Session]
    images: ImageStore
    deployment: Deployment
    choices: Choices
    kept: Kept = field(default_factory=Kept)
    last_attempt: bool = False
    attempt: int = 1
    asked_to_end: Callable[[], bool] = bool  # the consumer leaves, or is gone: what takes long should end soon

    def once(self, kind: str, key: Hashable, make: Callable[[], Found], most: int = GRAPHS_KEPT) -> Found:
        """The result of ``make``, which other processes of this worker may have made by the same key already."""
        return self.kept.once(kind, key, make, most)


Outputs = Callable[[Session], None]  # writes a step's rows, inside the transaction that marks it succeeded
AnyParameters = TypeVar("AnyParameters", bound=Parameters)
MADE_BY: dict[str, str] = {}  # by kind of image: the command whose step says that it makes it


@dataclass(frozen=True)
class Method:
    """A method of relative calibration, and whether the views show its light curves."""

    name: str
    shown: bool


@dataclass(frozen=True, eq=False)
class Step(Generic[AnyParameters]):
    """A command. ``run`` loads inputs, calls pure functions, writes files, and returns what goes into the database.

    All else are facts, from which graphs are laid out, and which others go by: `tianyu rerun`, `tianyu gc`, the
    summary, the documentation.
    """

    command: str
    parameters: type[AnyParameters]
    run: Callable[[Context, AnyParameters], Outputs | None]
    gives: str = ""  # what comes of it, in the words of the documentation
    version: int = 1  # of what it computes: a change that gives other numbers raises it
    kind: str | None = LIGHT  # of the frames of the observations that take it; None: no graph has it
    each: Each = Each.OBSERVATION
    template: Template | None = None  # only in graphs with this template
    needs: tuple[Need, ...] = ()
    # Parameters besides PIDs and frames, by what the operator chose and the method that a process is for.
    chosen: Callable[[Choices, Method | None], Mapping[str, Any]] | None = None
    reads: tuple[str, ...] = ()  # choices that it goes by, besides those that its parameters tell
    passes_on: tuple[str, ...] = ()  # choices that it writes down for steps behind it and does not go by itself
    # Parameters that name a choosing step of which only the choice concerns it: the query for whose result that is.
    read_of: Mapping[str, Prepared] = field(default_factory=dict)
    begins_early: bool = False  # it takes long: it begins before the frames that wait for the same
    opens: tuple[str, ...] = ()  # kinds of images whose files it cannot do without
    uses: tuple[str, ...] = ()  # kinds of images whose files it goes by where they are there
    makes: tuple[str, ...] = ()  # kinds of images that others use, or that are results
    partial: tuple[str, ...] = ()  # kinds of images that only serve to make one of its observation's
    copies: tuple[str, ...] = ()  # kinds of images that it makes of another site's
    tables: tuple[type[Base], ...] = ()  # which it gives rows to, besides those of its images
    # It may run at another site than the frames: of images it opens its graph's template and those of its needs alone.
    anywhere: bool = False
    joins: bool = False  # run again, it joins the graph that there is: its rows are keyed by its PID
    wanted: Callable[[Choices], bool] | None = None  # whether the choices ask for it; None: they always do
    unwanted: str | None = None  # why there is none to run again, and what to do
    missing: str | None = None  # why a graph has none, and what to do for ``{observation}``

    def __post_init__(self) -> None:
        MADE_BY.update(dict.fromkeys((*self.partial, *self.makes), self.command))

    @property
    def takes_frame(self) -> bool:
        """Whether a process is told the frame (its number) that it is for."""
        return "frame" in self.parameters.model_fields

    def goes_with(self, other: "Step[Any]") -> bool:
        """Whether both have a process for each frame, or both for methods: each then needs that of its own."""
        return self.each.item is not None and self.each.item == other.each.item

    @property
    def knows_former(self) -> bool:
        """Whether, run again, it is told of its processes that ran before."""
        return any(self.command in need.commands for need in self.needs)

    @property
    def needs_some(self) -> tuple[Need, ...]:
        """What it needs some of; a node of a tree of its branches."""
        some = tuple(need for need in self.needs if need.wait is Wait.SOME)
        return (*some, some_of(self.command)) if self.each is Each.TREE else some

    def is_wanted(self, choices: Choices) -> bool:
        """Whether the choices ask for it."""
        return self.wanted is None or self.wanted(choices)

    def needs_on(self, template: Template) -> tuple[Need, ...]:
        """What it needs in a graph with this template."""
        return tuple(need for need in self.needs if need.template in (None, template))

    def start(self, context: Context, raw: str) -> Outputs | None:
        """Validate the parameters and run; None: nothing goes into the database.

        Raises:
            ConfigurationError: the parameters are not those of this command.
            DataError: the images or measurements cannot give a result, or there are none.
        """
        try:
            parameters = self.parameters.model_validate_json(raw)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigurationError(
                f"process {context.pid} ({self.command}) has parameters that do not fit: {problems}; publish it again"
            ) from error
        require_some(context.reading, context.pid, self.command, self.needs_some)
        try:
            return self.run(context, parameters)
        except UnusableDataError as error:
            raise DataError(f"process {context.pid} ({self.command}): {error}") from error


AnyStep = Step[Any]
