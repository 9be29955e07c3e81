"""`check`: work that does nothing, to try the way from publisher to consumer and back, and to measure its cost."""

import time
from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from services.steps.base import Context, Outputs, Parameters, Step


class CheckParameters(Parameters):
    """How long the work takes."""

    seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0


def run(_context: Context, parameters: CheckParameters) -> Outputs:
    """Sleep, and write nothing."""
    time.sleep(parameters.seconds)

    def write(_session: Session) -> None:
        """No rows."""

    return write


CHECK = Step("check", CheckParameters, run)
