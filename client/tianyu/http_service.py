"""A `tianyu serve` that is asked over HTTP, by Python's own client: nothing else needs to be installed."""

import json
import struct
import time
import urllib.error
import urllib.request
from collections import namedtuple
from collections.abc import Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tianyu.asking import Rows
from tianyu.errors import NotFoundError, TianyuError
from tianyu.light_curve_rows import NUMBERS, ApertureChoice, Points, columns_of, together

TIMEOUT_S = 120.0  # without a byte
TRIES, PAUSE_S = 5, 5.0  # where the service has too much to do
SOURCES_A_QUESTION = 5_000
ERROR_CHARACTERS = 500  # of an answer that is not understood
LENGTH = struct.Struct("<Q")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token is shown to nobody but the service that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Service:
    """Asks a service; each answer says itself whether it is whole."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """See whether it is there.

        Raises:
            NotFoundError: it does not answer, wants another token, or is no `tianyu serve`.
        """
        parts = urlsplit(address)
        if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise NotFoundError(f"{address!r} is no address of a service: expected https://HOST:PORT, and token=…")
        self.place = address.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirects)
        self.rows("observations")

    def rows(self, question: str, **parameters: Any) -> tuple[Sequence[str], Rows]:
        """As `tianyu.asking.Asked` says."""
        with self._asked(f"/api/rows/{question}", parameters) as answer:
            try:
                found = json.load(answer)
                row = namedtuple("row", found["names"])  # type: ignore[misc]
                return found["names"], [row(*values) for values in found["rows"]]
            except (ValueError, KeyError, TypeError) as error:
                raise NotFoundError(f"{self.place} is no `tianyu serve`, or of another version: {error}") from error

    def points(
        self, sources: Sequence[int], observations: Sequence[int], aperture: ApertureChoice, *, usable_only: bool
    ) -> Points:
        """As `tianyu.asking.Asked` says; the service gives so many rows at a time, and is asked for the rest."""
        parts: list[Points] = []
        start = 0
        while start < len(sources) and observations:
            asked = {
                "sources": [int(one) for one in sources[start : start + SOURCES_A_QUESTION]],
                "observations": [int(one) for one in observations],
                "aperture": aperture,
                "usable_only": usable_only,
            }
            with self._asked("/api/points", asked) as answer:
                start += _read(answer, parts, self.place)
        return together(parts)

    def _asked(self, path: str, content: Any) -> HTTPResponse:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(  # noqa: S310 - http and https alone come here
            self.place + path, json.dumps(content).encode(), headers, method="POST"
        )
        for left in reversed(range(TRIES)):
            try:
                answer: HTTPResponse = self._opener.open(request, timeout=TIMEOUT_S)
                return answer
            except urllib.error.HTTPError as error:
                if error.code in (429, 503) and left:
                    time.sleep(PAUSE_S)
                    continue
                raise self._refused(error) from None
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                raise NotFoundError(f"{self.place} does not answer ({reason}): is `tianyu serve` running?") from error
        raise AssertionError("unreachable")

    def _refused(self, error: urllib.error.HTTPError) -> TianyuError:
        words = error.read(1 << 16).decode("utf-8", "replace")
        try:
            words = str(json.loads(words)["error"])
        except (ValueError, KeyError, TypeError):
            words = words.strip()[:ERROR_CHARACTERS]
        if error.code == 401:
            return NotFoundError(f"{self.place} wants a token: tianyu.open({self.place!r}, token=…), the service's own")
        if error.code in (404, 405):
            return NotFoundError(f"{self.place} is no `tianyu serve`, or of another version ({error.code}: {words})")
        return TianyuError(f"{self.place} answers {error.code}: {words}")


def _read(answer: HTTPResponse, parts: list[Points], place: str) -> int:
    """Add the points of an answer; returns of how many sources they are all."""
    end = {}
    try:
        for kind, content in _blocks(answer):
            if kind:
                parts.append(_points(content))
            else:
                end = json.loads(content)
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise TianyuError(f"{place}: the answer is not whole ({error}); ask again") from error
    if "error" in end:
        raise TianyuError(f"{place}: {end['error']}")
    if not end.get("sources", 0) > 0:
        raise TianyuError(f"{place}: the answer ended before its end; ask again")
    return int(end["sources"])


def _blocks(answer: HTTPResponse) -> Iterator[tuple[bool, bytes]]:
    """Whether a block is points, and its bytes; the last one is not."""
    while True:
        is_points, length = answer.read(1) == b"P", LENGTH.unpack(_exactly(answer, LENGTH.size))[0]
        yield is_points, _exactly(answer, length)
        if not is_points:
            return


def _exactly(answer: HTTPResponse, length: int) -> bytes:
    content = answer.read(length)
    if len(content) < length:
        raise ValueError(f"{len(content)} bytes came of {length}")
    return content


def _points(content: bytes) -> Points:
    """Columns one after the other: all are numbers, as float64 in the order of `NUMBERS`."""
    return columns_of(np.frombuffer(content, dtype="<f8").reshape(len(NUMBERS), -1).T)
