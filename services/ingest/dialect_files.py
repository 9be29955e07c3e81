"""Dialects as files: those that come with Tianyu, and an operator's own in a folder that a setting names."""

import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from astropy.io import fits
from pydantic import ValidationError

from services.errors import ConfigurationError
from services.ingest import cards
from services.ingest.dialect import LONGEST_PATTERN, Dialect

SHIPPED = Path(__file__).parent / "dialects"
STANDARD_NAME = "standard"
LARGEST_FILE_BYTES = 100_000
MOST_FILES = 200


class Dialects:
    """All dialects that are known, in the order in which they are asked; an operator's own go first."""

    def __init__(
        self,
        standard: Dialect,
        others: Mapping[str, Dialect],
        digests: Mapping[str, str] | None = None,
        clock_offset_h: float | None = None,
    ) -> None:
        self._standard, self._others, self._clock_offset_h = standard, dict(others), clock_offset_h
        self._asked = frozenset(key for dialect in others.values() for key in dialect.asked)
        self._spoken: dict[tuple[str, ...], Dialect] = {}
        self._digests = dict(digests or {})

    def recognised(self, header: fits.Header) -> tuple[str, ...]:
        """Names of the dialects of a header: a camera's, a program's and an observatory's may be in one."""
        values = {}
        for key in self._asked:
            if (value := cards.raw(header, key)) is not None:
                values[key] = cards.printable(str(value))[:LONGEST_PATTERN].upper()
        return tuple(name for name, dialect in self._others.items() if dialect.recognises(values))

    def spoken(self, header: fits.Header) -> tuple[Dialect, tuple[str, ...]]:
        """What the keywords of this header mean, and what of an operator's own says so: names with digests."""
        names = self.recognised(header)
        if names not in self._spoken:
            spoken = self._standard
            for name in reversed(names):
                spoken = self._others[name].over(spoken)
            if self._clock_offset_h is not None:
                spoken = spoken.model_copy(update={"clock_offset_h": self._clock_offset_h})
            self._spoken[names] = spoken
        own = [f"dialect {name} {self._digests[name]}" for name in (*names, STANDARD_NAME) if name in self._digests]
        clock = [] if self._clock_offset_h is None else [f"clock_offset_h {self._clock_offset_h:g}"]
        return self._spoken[names], (*own, *clock)


@cache
def shipped() -> Dialects:
    """Those that come with Tianyu."""
    return Dialects(STANDARD, _shipped_files())


def with_own(folder: Path | None, clock_offset_h: float | None = None) -> Dialects:
    """Those of a folder before those that come with Tianyu; one of the same name takes its place.

    ``clock_offset_h`` holds for every header, against its dialect.

    Raises:
        ConfigurationError: the folder or a file in it cannot be read or is no dialect.
    """
    if folder is None:
        return shipped() if clock_offset_h is None else Dialects(STANDARD, _shipped_files(), None, clock_offset_h)
    if not folder.is_dir():
        raise ConfigurationError(f"dialects names {str(folder)!r}, which is no folder: correct the path or unset it")
    files = sorted(path for path in folder.iterdir() if path.suffix == ".toml" and not path.name.startswith("."))
    if len(files) > MOST_FILES:
        raise ConfigurationError(f"folder {str(folder)!r} has {len(files)} dialects: expected at most {MOST_FILES}")
    own = {path.stem: read_dialect(path) for path in files}
    digests = {path.stem: _digest(path) for path in files}
    standard = own.pop(STANDARD_NAME).over(STANDARD) if STANDARD_NAME in own else STANDARD
    others = own | {name: dialect for name, dialect in _shipped_files().items() if name not in own}
    return Dialects(standard, others, digests, clock_offset_h)


def read_dialect(path: Path) -> Dialect:
    """A dialect's file.

    Raises:
        ConfigurationError: it cannot be read or is no dialect; the message names the file, each key, and what is wrong.
    """
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ConfigurationError(f"dialect {str(path)!r} is larger than {LARGEST_FILE_BYTES} bytes: is it one?")
        dialect = Dialect.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"dialect {str(path)!r} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"dialect {str(path)!r} is wrong: {problems}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise ConfigurationError(f"dialect {str(path)!r} is no TOML: {error}") from error
    if not dialect.recognised and path.stem != STANDARD_NAME:
        raise ConfigurationError(
            f"dialect {str(path)!r} is wrong: recognised: nothing says how it is recognised; "
            'give keywords with patterns, such as [[recognised]] INSTRUME = "MyCam*"'
        )
    return dialect


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


@cache
def _shipped_files() -> Mapping[str, Dialect]:
    files = sorted(path for path in SHIPPED.glob("*.toml") if path.stem != STANDARD_NAME)
    return {path.stem: read_dialect(path) for path in files}


STANDARD = read_dialect(SHIPPED / f"{STANDARD_NAME}.toml")
