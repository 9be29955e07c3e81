"""Fetching a file of another site: what has come stays when the link is cut, and the rest comes later.

Attempts of one process write one file, one at a time: the second waits until the first is done, gives up or dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.checksums import sha256_of
from services.deployment import OtherSite
from services.errors import SurroundingsError, TransientError
from services.log import get_logger
from services.offered_files import opened

log = get_logger("transfer")
PAUSE_S = 0.5  # before what was cut is asked for again
LOOK_S = 0.2  # at a file that another attempt holds
MB = 1e6


@dataclass(frozen=True)
class Offer:
    """A file that the site ``name`` offers, and what it must be."""

    name: str
    site: OtherSite
    path: str
    size_bytes: int
    sha256: str


@contextmanager
def held(part: Path, patience_s: float) -> Iterator[None]:
    """Hold the file ``part``, made where it is not there; what another attempt holds is waited for.

    Raises:
        TransientError: another attempt has held it for ``patience_s`` without a byte more.
        OSError: it cannot be made.
    """
    while True:
        with part.open("ab") as file:
            _lock(file.fileno(), part, patience_s)
            if os.fstat(file.fileno()).st_nlink:  # else who held it has removed it
                yield
                return


def _lock(descriptor: int, part: Path, patience_s: float) -> None:
    size, since = -1, time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now = os.fstat(descriptor).st_size
            if now != size:
                size, since = now, time.monotonic()
            if time.monotonic() - since > patience_s:
                raise TransientError(
                    f"file {str(part)!r} is held by another attempt, which has brought nothing for {patience_s:g} s"
                ) from None
            time.sleep(LOOK_S)
        except OSError:  # a file system without locks: what two attempts spoil, the checksum tells
            return


def fetch(offer: Offer, part: Path, until: float) -> int:
    """Bring what is lacking of the file ``part``; returns the bytes that came now.

    A link that is cut is tried again as long as each try brings something, ``until`` then by the monotonic clock.

    Raises:
        SurroundingsError: the link is cut, or the time is over; what has come stays.
        TransientError: it is not the file that was packed, and nothing of it stays; or it is not there.
        ConfigurationError: the site does not give it, or its address cannot be used.
        OSError: it cannot be written.
    """
    with part.open("r+b") as file:
        arriving = _Arriving(offer, file)
        while arriving.here < offer.size_bytes:
            had = arriving.came
            try:
                arriving.go_on(until)
            except SurroundingsError as error:
                if arriving.came == had or time.monotonic() > until:
                    raise SurroundingsError(f"{error}; {arriving.says}, it goes on by itself from there") from None
                log.warning("the link was cut, going on", reason=str(error), so_far=arriving.says)
                time.sleep(PAUSE_S)
        file.flush()
        found = sha256_of(part)
        if found != offer.sha256:
            file.truncate(0)
            raise TransientError(
                f"file {offer.path!r} of site {offer.name!r} came with the SHA-256 {found}, and was packed with "
                f"{offer.sha256}: nothing of it is kept"
            )
    return arriving.came


class _Arriving:
    """The file as far as it is here."""

    def __init__(self, offer: Offer, file: BinaryIO) -> None:
        self._offer, self._file = offer, file
        self.here = file.seek(0, os.SEEK_END)
        self.came = 0
        if self.here > offer.size_bytes:
            self._begin_at(0)

    @property
    def says(self) -> str:
        """How much of it is here."""
        return f"{self.here / MB:.3f} of {self._offer.size_bytes / MB:.3f} MB of {self._offer.path!r} are here"

    def go_on(self, until: float) -> None:
        """One try to bring the rest."""
        offer = self._offer
        with opened(offer.name, offer.site, offer.path, self.here) as source:
            self._begin_at(source.start)
            for chunk in source.chunks:
                self.here += self._file.write(chunk)
                self.came += len(chunk)
                if self.here > offer.size_bytes:
                    self._begin_at(0)
                    raise TransientError(
                        f"file {offer.path!r} of site {offer.name!r} has more than the {offer.size_bytes} bytes that "
                        "were packed: nothing of it is kept"
                    )
                if time.monotonic() > until:
                    raise SurroundingsError(f"site {offer.name!r}: the time of this attempt is over")
        if self.here < offer.size_bytes:
            raise SurroundingsError(f"site {offer.name!r}: the link was cut")

    def _begin_at(self, place: int) -> None:
        self._file.truncate(place)
        self.here = self._file.seek(place)
