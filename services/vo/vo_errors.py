"""What a question is refused by; words go to whoever asked."""

from services.errors import TianyuError

# What is said of errors that are nobody's question's.
DATABASE_AWAY = "the database does not answer; `tianyu doctor` looks closer"
UNFORESEEN = "the question could not be answered; what happened is in the service's log"


class RefusedError(TianyuError):
    """The question is not one that is answered: it must be put in another way."""


class TooLongError(TianyuError):
    """The answer takes more time than it may."""


class BusyServiceError(TianyuError):
    """As many questions are answered at a time as may be."""


class NotFoundError(TianyuError):
    """There is nothing under this address."""
