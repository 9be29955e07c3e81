"""What a question is refused by; words go to whoever asked."""

from services.errors import TianyuError


class RefusedError(TianyuError):
    """The question is not one that is answered: it must be put in another way."""


class TooLongError(TianyuError):
    """The answer takes more time than it may."""


class BusyServiceError(TianyuError):
    """As many questions are answered at a time as may be."""


class NotFoundError(TianyuError):
    """There is nothing under this address."""
