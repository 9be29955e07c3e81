"""What a consumer hears of its worker process: messages through their pipe, and its end.

The other way go claims (``schema.attempts.Claim``). Each of them is answered by one report, in their order.
"""

import signal
from dataclasses import dataclass

from schema.attempts import Failure, Usage

ASK_TO_END = signal.SIGUSR1  # the consumer leaves: what takes long and can be done again should end


@dataclass(frozen=True)
class Ready:
    """The worker's imports are done, and it takes claims."""


@dataclass(frozen=True)
class Saving:
    """The step is done and its outputs are about to be committed: another claim may wait in the pipe."""


@dataclass(frozen=True)
class Report:
    """The end of an attempt; ``failure`` None means that it is committed."""

    usage: Usage
    failure: Failure | None = None


@dataclass(frozen=True)
class Died:
    """The worker process has ended, or did not start; ``at_work``: the step may have been the cause."""

    reason: str
    at_work: bool
