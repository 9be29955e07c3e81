"""What every step is: a command's name, the parameters it takes, and a function of (context, parameters)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.orm import Session, sessionmaker

from pipeline.errors import UnusableDataError
from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError, DataError
from services.image_store import ImageStore


class Parameters(BaseModel):
    """Base of all parameters: frozen and closed, so that a typo in a row is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Context:
    """What a step may use. ``reading`` opens sessions for its inputs; outputs are written by the one who called it.

    ``choices`` are those of the process's row, whatever is set on the machine that runs it.
    """

    pid: int
    graph_pid: int
    observation_id: int | None
    reading: sessionmaker[Session]
    images: ImageStore
    deployment: Deployment
    choices: Choices


Outputs = Callable[[Session], None]  # writes a step's rows, inside the transaction that marks it succeeded
AnyParameters = TypeVar("AnyParameters", bound=Parameters)


@dataclass(frozen=True)
class Step(Generic[AnyParameters]):
    """A command. ``run`` loads inputs, calls pure functions, writes files, and returns what goes into the database."""

    command: str
    parameters: type[AnyParameters]
    run: Callable[[Context, AnyParameters], Outputs | None]

    def start(self, context: Context, raw: str) -> Outputs | None:
        """Validate the parameters and run; None: nothing goes into the database.

        Raises:
            ConfigurationError: the parameters are not those of this command.
            DataError: the images or measurements cannot give a result.
        """
        try:
            parameters = self.parameters.model_validate_json(raw)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigurationError(
                f"process {context.pid} ({self.command}) has parameters that do not fit: {problems}; publish it again"
            ) from error
        try:
            return self.run(context, parameters)
        except UnusableDataError as error:
            raise DataError(f"process {context.pid} ({self.command}): {error}") from error


AnyStep = Step[Any]
