"""`check`: work that does nothing, to try the way from publisher to consumer and back, and to measure its cost."""

import time
from typing import Annotated

from pydantic import Field

from services.steps.shared.step import Context, Parameters, Step


class CheckParameters(Parameters):
    """How long the work takes, and how much memory it holds meanwhile."""

    seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    memory_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 0


def run(_context: Context, parameters: CheckParameters) -> None:
    """Sleep, and write nothing."""
    ballast = b"\1" * parameters.memory_bytes
    time.sleep(parameters.seconds)
    del ballast


CHECK = Step("check", CheckParameters, run, gives="nothing", kind=None)
