"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import ConfigurationError

TEMPORARY_SUFFIX = ".part"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the name when the block ends, and is gone after an error.

    Raises:
        ConfigurationError: the file cannot be written there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"file {str(path)!r} cannot be written: {error.strerror or error}; is its folder there and writable, and "
            "the disk not full?"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
