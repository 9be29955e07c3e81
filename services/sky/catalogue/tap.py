"""A client of the Virtual Observatory's table servers (TAP 1.1, synchronous): one query, one table or an outage.

astroquery's own client sets no time limit on its connections: a server that falls silent would hold a consumer for
ever. It also cuts off answers at 2000 rows and costs 0.6 s to import.
"""

import errno
import gzip
import http.client
import io
import re
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.errors import ConfigurationError
from services.log import get_logger
from services.sky.catalogue.catalogue_protocol import CatalogueOutage
from services.sky.catalogue.votables import ElsewhereError, require_own_data

log = get_logger("catalogue")
TRIES = 3
PAUSE_S = 1.0  # before the second try, and twice as long before the third
CONNECT_S = 5.0  # to find and reach the server: what takes longer is no network, not a slow archive
NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
TOTAL_TIMEOUTS = 10  # the whole answer may take so many times what one silence may
CHUNK_BYTES = 1 << 16
BYTES_MAX = 1_000_000_000  # of one answer; 400,000 stars as plain XML are 200 MB
EXCERPT = 200  # characters of a strange answer that a message shows
GZIP_MAGIC = b"\x1f\x8b"
OVERFLOW = "OVERFLOW"


class _UselessRepeatError(CatalogueOutage):
    """An outage that a second try a moment later would not mend."""


@dataclass(frozen=True)
class TapAnswer:
    """Columns by name, masked where the server has no value; ``is_cut`` where it had more rows than it sent."""

    columns: Mapping[str, Any]
    rows: int
    is_cut: bool


@dataclass
class Patience:
    """Seconds for all answers together; they run from the first question on."""

    limit_s: float
    began: float | None = None

    def left_s(self) -> float:
        """What is left of them."""
        if self.began is None:
            self.began = time.monotonic()
        return self.limit_s - (time.monotonic() - self.began)


@dataclass(frozen=True)
class TapService:
    """A server at ``url`` (without ``/sync``); one silence of it may last ``timeout_s``.

    With ``patience`` it is asked once, and not for longer.
    """

    url: str
    timeout_s: float
    pause_s: float = PAUSE_S
    patience: Patience | None = None

    def query(self, adql: str, max_rows: int) -> TapAnswer:
        """The answer to a query, after a few quick tries.

        Raises:
            CatalogueOutage: no answer, or one that is no whole VOTable.
            ConfigurationError: the URL is none of http.
        """
        tries = TRIES if self.patience is None else 1
        for number in range(1, tries + 1):
            try:
                return _parse(self._ask(adql, max_rows), self.url)
            except _UselessRepeatError:
                raise
            except CatalogueOutage as outage:
                if number == tries:
                    raise
                log.warning("the catalogue's server is asked again", reason=str(outage))
                time.sleep(self.pause_s * number)
        raise AssertionError("unreachable")

    def _ask(self, adql: str, max_rows: int) -> bytes:
        if urllib.parse.urlsplit(self.url).scheme not in ("http", "https"):
            raise ConfigurationError(f"{self.url!r} is no address of a catalogue: expected https://HOST/PATH")
        form = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "MAXREC": str(max_rows), "QUERY": adql}
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            f"{self.url.rstrip('/')}/sync",
            data=urllib.parse.urlencode(form).encode(),
            headers={"User-Agent": "Tianyu", "Accept-Encoding": "identity"},
        )
        limit_s = self._limit_s()
        try:
            _reach(self.url, min(limit_s, CONNECT_S))
            with urllib.request.urlopen(request, timeout=limit_s) as response:  # noqa: S310
                return self._read(response)
        except urllib.error.HTTPError as error:
            kind = _UselessRepeatError if 400 <= error.code < 500 else CatalogueOutage
            with error:
                said = _excerpt(_first_bytes(error))
            raise kind(f"{self.url} refused with HTTP {error.code} {error.reason}: {said}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._outage(error) from error

    def _limit_s(self) -> float:
        """How long the next silence may last."""
        left = self.timeout_s if self.patience is None else min(self.patience.left_s(), self.timeout_s)
        if left <= 0.0:
            raise self._too_slow()
        return left

    def _too_slow(self) -> CatalogueOutage:
        assert self.patience is not None
        return _UselessRepeatError(f"{self.url} had not answered after {self.patience.limit_s:g} s")

    def _outage(self, error: Exception) -> CatalogueOutage:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, _NoConnectionError):
            return _UselessRepeatError(f"{self.url} cannot be reached within {reason} s; is the network up?")
        if isinstance(reason, TimeoutError) and self.patience is not None and self.patience.left_s() <= 0.0:
            return self._too_slow()
        if isinstance(reason, TimeoutError):
            return _UselessRepeatError(
                f"{self.url} was silent for {self.timeout_s:g} s: is the network up? "
                "A slow server may need a greater catalog_timeout_s"
            )
        # No network, or no such host: a moment later neither.
        if isinstance(reason, socket.gaierror) or (isinstance(reason, OSError) and reason.errno in NO_NETWORK):
            return _UselessRepeatError(f"{self.url} cannot be reached: {reason}; is the network up?")
        return CatalogueOutage(f"{self.url} cannot be reached: {reason or type(reason).__name__}; is the network up?")

    def _read(self, response: Any) -> bytes:
        """The body; a server that drips is cut off as one that is silent."""
        body = bytearray()
        deadline = time.monotonic() + TOTAL_TIMEOUTS * self.timeout_s
        while chunk := response.read1(CHUNK_BYTES):
            body += chunk
            if self.patience is not None and self.patience.left_s() <= 0.0:
                raise self._too_slow()
            if time.monotonic() > deadline or len(body) > BYTES_MAX:
                raise _UselessRepeatError(
                    f"{self.url} had not ended its answer after {len(body)} bytes and "
                    f"{TOTAL_TIMEOUTS * self.timeout_s:g} s: a greater catalog_timeout_s, or a smaller "
                    "catalog_mag_limit, may help"
                )
        promised = response.headers.get("Content-Length")
        if promised is not None and int(promised) != len(body):
            raise CatalogueOutage(f"{self.url} broke off its answer after {len(body)} of {promised} bytes")
        return bytes(body)


class _NoConnectionError(OSError):
    """There was neither a connection nor a refusal within so many seconds."""


def _reach(url: str, limit_s: float) -> None:
    """Make sure that there is a way to the server: where there is no network, names are looked up for a long time.

    Raises:
        OSError: there is none, or none was found in time. Behind a proxy nothing is tried.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    problems: list[Exception] = []

    def connect() -> None:
        try:
            port = parts.port or socket.getservbyname(parts.scheme)
            socket.create_connection((host, port), timeout=limit_s).close()
        except (OSError, ValueError) as error:
            problems.append(error)

    thread = threading.Thread(target=connect, daemon=True)  # a look-up of a name takes no time limit
    thread.start()
    thread.join(limit_s)
    if thread.is_alive() or (problems and isinstance(problems[0], TimeoutError)):
        raise _NoConnectionError(f"{limit_s:.3g}")
    if problems:
        raise problems[0]


def _parse(body: bytes, url: str) -> TapAnswer:
    from astropy.io import votable

    try:
        plain = _unpacked(body) if body.startswith(GZIP_MAGIC) else body
        require_own_data(plain)
        with warnings.catch_warnings(action="ignore"):  # servers bend the standard, and astropy says so
            found = votable.parse(io.BytesIO(plain), verify="ignore")
            status = {info.name: (info.value, info.content) for part in found.resources for info in part.infos}
            value, text = status.get("QUERY_STATUS", ("OK", None))
            if value == "ERROR":
                raise _UselessRepeatError(f"{url} could not answer: {_excerpt(str(text or '').encode())}")
            table = found.get_first_table()
            names = [field.name for field in table.fields]
            columns = {name: table.array[field.ID] for name, field in zip(names, table.fields, strict=True)}
    except CatalogueOutage:
        raise
    except ElsewhereError as error:
        raise _UselessRepeatError(f"{url} sent a table that is not taken: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogueOutage(f"{url} sent a broken archive of {len(body)} bytes: {error}") from error
    except Exception as error:  # expat, astropy and numpy each have their own for what is no VOTable
        raise CatalogueOutage(
            f"{url} sent {len(body)} bytes that are no whole VOTable ({_excerpt(str(error).encode())}): "
            f"{_excerpt(plain)!r}"
        ) from error
    return TapAnswer(columns, len(table.array), value == OVERFLOW)


def _unpacked(body: bytes) -> bytes:
    """What a server packed, as long as it is no more than an answer may be."""
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        plain = file.read(BYTES_MAX + 1)
    if len(plain) > BYTES_MAX:
        raise OSError(f"it holds more than {BYTES_MAX / 1e6:.0f} MB")
    return plain


def _first_bytes(response: Any) -> bytes:
    try:
        return bytes(response.read(CHUNK_BYTES))
    except (OSError, http.client.HTTPException):
        return b""


def _excerpt(body: bytes) -> str:
    """The beginning of an answer without its tags."""
    text = re.sub(r"<[^>]*>", " ", body[:CHUNK_BYTES].decode("utf-8", errors="replace"))
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= EXCERPT else f"{words[:EXCERPT]}…"
