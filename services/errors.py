"""The errors of Tianyu: one small tree that says what happens next.

    TianyuError
    ├── TransientError      tried again with backoff, up to max_attempts
    │   ├── SurroundingsError   waited for with backoff, for as long as it takes: no attempt is used up
    │   └── LostFrameError      a frame's file alone cannot be read: in the last attempt the data are at fault
    ├── DataError           the frame or the data are at fault: never retried, the rest of the night goes on
    └── ConfigurationError  the operator must change a setting, a file or the graph: never retried

A message names the file or PID, what was found, what was expected, and what to do.
"""

import errno

# The disk is full, read-only, damaged or away, or the network to it. Not what one program lacks (files, memory), and
# not what it may not do: that passes seldom by itself, and elsewhere than in the image store work can do without.
OF_SURROUNDINGS = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EREMOTEIO, errno.ENODEV, errno.ENXIO, errno.ENFILE),
        *(errno.ESTALE, errno.ENOTCONN, errno.ECONNABORTED, errno.ETIMEDOUT),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    )
)


class TianyuError(Exception):
    """Base of all errors that Tianyu raises on purpose."""

    error_class = "configuration"


class TransientError(TianyuError):
    """The same work may succeed in another attempt."""

    error_class = "transient"


class SurroundingsError(TransientError):
    """Database, broker, disk or network failed: whatever is tried now would, and the process is not at fault."""

    error_class = "surroundings"


class LostFrameError(TransientError):
    """The file of a registered frame is gone or gives errors, while others in its folder can be read."""


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
