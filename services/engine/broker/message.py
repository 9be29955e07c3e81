"""The message: a PID and an attempt, nothing else. Parameters stay in the database."""

import json
from dataclasses import dataclass

from services.errors import DataError

NUMBERS = 1 << 63  # a database can take those below


@dataclass(frozen=True)
class Message:
    """Names the attempt of a process that is to be made (in a queue of work) or has ended (in a queue of events)."""

    pid: int
    attempt: int

    def encode(self) -> bytes:
        """JSON text."""
        return json.dumps({"pid": self.pid, "attempt": self.attempt}).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Message":
        """Parse a message body.

        Raises:
            DataError: the body is not exactly a PID and an attempt.
        """
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):  # no JSON, or nested so deeply that the parser gives up
            content = None
        if (
            not isinstance(content, dict)
            or content.keys() != {"pid", "attempt"}
            or not all(type(value) is int and 0 <= value < NUMBERS for value in content.values())
        ):
            raise DataError(f"message {body[:80]!r} is not a PID and an attempt: it goes to the dead-letter queue")
        return cls(content["pid"], content["attempt"])


PROBE = Message(0, 0)  # of no process: whoever receives it settles it and does nothing


def work_queue(site: str, group: str) -> str:
    """Queue of the work of one group at one site."""
    return f"tianyu.{site}.{group}"


def address_of(queue: str) -> tuple[str, str]:
    """Site and group of a queue of work."""
    _, site, group = queue.split(".")  # names of sites and groups have no dots
    return site, group


def event_queue(site: str) -> str:
    """Queue in which a site's consumers tell the manager which processes have ended."""
    return f"tianyu.{site}.events"


def dead_letter_queue(queue: str) -> str:
    """Where messages go that nobody can read or that were delivered too often."""
    return f"{queue}.dead"
