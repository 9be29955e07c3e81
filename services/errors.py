"""The errors of Tianyu: one small tree that says what happens next.

    TianyuError
    ├── TransientError      tried again with backoff, up to max_attempts
    │   └── MissingFrameError   a frame's file is gone from its folder: in the last attempt the data are at fault
    ├── DataError           the frame or the data are at fault: never retried, the rest of the night goes on
    └── ConfigurationError  the operator must change a setting, a file or the graph: never retried

A message names the file or PID, what was found, what was expected, and what to do.
"""


class TianyuError(Exception):
    """Base of all errors that Tianyu raises on purpose."""

    error_class = "configuration"


class TransientError(TianyuError):
    """Database, broker, disk or network failed: the same work may succeed later."""

    error_class = "transient"


class MissingFrameError(TransientError):
    """The file of a registered frame is gone, while others lie in its folder."""


class DataError(TianyuError):
    """The input cannot give a result, however often it is tried."""

    error_class = "data"


class ConfigurationError(TianyuError):
    """Settings, parameters or the graph are wrong."""

    error_class = "configuration"


def database_denies(error: Exception) -> str:
    """What a right that the database denies means to the operator: the driver's error in a sentence."""
    cause = getattr(error, "orig", None) or error
    return (
        f"the database denies what this program needs: {cause}; correct the user's rights, or user and password of "
        "TIANYU_DATABASE_URL, and start it again"
    )
