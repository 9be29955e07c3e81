"""What goes wrong, in words that say what to do.

TianyuError
├── NotFoundError   no such database, observation, star or column
└── RunError        the program failed, or cannot do what was asked of it
"""


class TianyuError(Exception):
    """Base of all errors of this package."""


class NotFoundError(TianyuError, LookupError):
    """There is no such database, observation or star."""


class RunError(TianyuError, RuntimeError):
    """The program `tianyu` is not there, failed, or does not know what was asked of it."""
