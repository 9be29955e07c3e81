"""What stands before every page: who may ask, how often and for what, and what browsers are told to refuse."""

import base64
import binascii
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from services.log import get_logger
from services.vo.vo_requests import CALLER, RETRY_S

log = get_logger("web")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ASKED_PER_S, ASKED_AT_ONCE = 40.0, 400.0  # of one address: a field is some fifty tiles
REFUSED_PER_S, REFUSED_AT_ONCE = 0.2, 10.0  # wrong tokens of one address
KEPT_ADDRESSES = 10_000
SLOWEST_S = 60.0  # for a part of an answer: who takes none for longer holds nothing up any more
QUESTIONS_AT_ONCE = 100  # of all addresses, answered and waiting; more would wait for longer than anybody does
READING = ("GET", "HEAD")
LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))
# Scripts, styles, pictures and data of this service alone; nothing inline, nothing framed, no form to elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
FULL_PAGE = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Tianyu is busy</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    '<meta http-equiv="refresh" content="{retry}"></head><body><h1>Tianyu is busy</h1><p>{words}. '
    "This page asks again by itself.</p></body></html>\n"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Rules:
    """Who may ask.

    Attributes:
        token: what must be shown by who asks (password of any user, or bearer); None: nothing.
        names: hosts that this service may be asked by, None for any: a stranger's name that points to loopback is not
            this machine's user.
        is_behind_proxy: the last address that the proxy adds is who asks.
        writing: beginnings of paths that may be sent to by POST, and deleted.
    """

    token: str | None = None
    names: frozenset[str] | None = LOOPBACK_NAMES
    is_behind_proxy: bool = False
    writing: tuple[str, ...] = ()


class Buckets:
    """How much each address may still ask: so many at once, so many a second."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s, self._at_once = per_s, at_once
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, address: str, now: float) -> float:
        """How many it may ask at once now."""
        left, since = self._left.get(address, (self._at_once, now))
        return min(self._at_once, left + (now - since) * self._per_s)

    def take(self, address: str, now: float) -> bool:
        """Count one; False where there was none left."""
        left = self.left(address, now)
        self._left[address] = (max(left - 1.0, 0.0), now)
        self._left.move_to_end(address)
        while len(self._left) > KEPT_ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1.0


class Guard:
    """Wraps the whole application, its errors too."""

    def __init__(self, app: App, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._rules, self._clock = app, rules, clock
        self._asked = Buckets(ASKED_PER_S, ASKED_AT_ONCE)
        self._refused = Buckets(REFUSED_PER_S, REFUSED_AT_ONCE)
        self._now = 0  # questions that are answered or wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            started = False

            async def guarded(message: Message) -> None:
                nonlocal started
                if message["type"] == "http.response.start":
                    started = True
                    headers = MutableHeaders(scope=message)
                    headers.update(HEADERS)
                    headers.setdefault("Cache-Control", "no-store")
                with anyio.fail_after(SLOWEST_S):
                    await send(message)

            self._now += 1
            scope[CALLER] = shown_user(Headers(scope=scope), is_behind_proxy=self._rules.is_behind_proxy)
            try:
                await (self._refusal(scope) or self._app)(scope, receive, guarded)
            except TimeoutError:
                log.warning("an answer was not taken", path=scope["path"])
            except Exception as error:
                log.error("an error of Tianyu", path=scope["path"], exc_info=error)
                if not started:
                    await _refuse(500, "this page could not be made")(scope, receive, guarded)
            finally:
                self._now -= 1

    def _refusal(self, scope: Scope) -> Response | None:
        headers, now = Headers(scope=scope), self._clock()
        if self._rules.names is not None and _host(headers.get("host", "")) not in self._rules.names:
            return _refuse(421, "this service is not asked by that name: see --host of `tianyu serve`")
        address = self._address(scope, headers)
        if not self._asked.take(address, now):
            return _refuse(429, "too many questions at once: wait some seconds", {"Retry-After": RETRY_S})
        if self._rules.token is not None and not self._knows_token(headers, address, now):
            return _refuse(401, "the token is wanted", {"WWW-Authenticate": 'Basic realm="Tianyu", charset="UTF-8"'})
        allowed = (*READING, "POST", "DELETE") if scope["path"].startswith(self._rules.writing) else READING
        if scope["method"] not in allowed:
            return _refuse(405, "pages can only be read", {"Allow": ", ".join(allowed)})
        if self._now > QUESTIONS_AT_ONCE:
            words = "as many questions are being answered as may be at a time: try it again in some seconds"
            later = {"Retry-After": RETRY_S, "Connection": "close"}
            return _full(words, later) if "text/html" in headers.get("accept", "") else _refuse(503, words, later)
        return None

    def _address(self, scope: Scope, headers: Headers) -> str:
        if self._rules.is_behind_proxy and (forwarded := headers.getlist("x-forwarded-for")):
            return forwarded[-1].rpartition(",")[2].strip()
        return str((scope.get("client") or ("nobody", 0))[0])

    def _knows_token(self, headers: Headers, address: str, now: float) -> bool:
        shown = _credential(headers.get("authorization", ""))
        if shown is None:
            return False  # a browser asks first, then its user
        if self._refused.left(address, now) < 1.0:
            return False
        if hmac.compare_digest(shown.encode(), (self._rules.token or "").encode()):
            return True
        self._refused.take(address, now)
        return False


def _host(header: str) -> str:
    """The name without its port."""
    name, colon, port = header.rpartition(":")
    return (name if colon and port.isdecimal() else header).lower()


def shown_user(headers: Headers, *, is_behind_proxy: bool) -> str:
    """Who asks, as a proxy says (`X-Forwarded-User`), or as was typed beside the token; empty where nobody says."""
    if is_behind_proxy:
        return headers.get("x-forwarded-user", "")
    typed = _basic(headers.get("authorization", ""))
    return "" if typed is None else typed[0]


def _credential(header: str) -> str | None:
    """A bearer's token, or the password of any user; None where there is neither."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    typed = _basic(header)
    return None if typed is None else typed[1]


def _basic(header: str) -> tuple[str, str] | None:
    """User and password, empty where they cannot be read; None where it is no such header."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _full(words: str, headers: dict[str, str]) -> Response:
    """For a browser: legible on a phone and in the dark without a style, which is refused too; it asks again."""
    return HTMLResponse(FULL_PAGE.format(retry=RETRY_S, words=words.capitalize()), 503, headers)


def _refuse(status: int, words: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{words}\n", status, headers)
