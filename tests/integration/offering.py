"""A web server that offers a site's packed images, over a link that may be cut, and two sites of one database."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from schema import database
from services.deployment import OtherSite
from services.engine.embedded import embedded_settings
from services.setup import initialise, open_engine
from tests.integration.small_night import Night

MOUNTAIN, BASE = "mountain", "base"
AT_BASE = ("solve", "detect", "solve_index", "crossmatch", "calibrate_relative", "analyze", "zero_point")


@dataclass
class Offering:
    """What the server has and does, and what it was asked for."""

    root: Path
    url: str = ""
    authorization: str | None = None  # that is wanted
    ranges: bool = True  # whether it knows how to begin in the middle
    down: bool = False  # whether the link is away
    cuts: list[int] = field(default_factory=list)  # of the next answers: bytes of the body that come, each time
    spoil: Callable[[bytes], bytes] = bytes
    answer: int = 0  # HTTP's code for all that is asked; 0: what is right
    asked: list[tuple[str, int]] = field(default_factory=list)  # path, and the first byte that was wanted
    sent: int = 0  # bytes


@contextmanager
def offering(root: Path, **settings: Any) -> Iterator[Offering]:
    """A server while the block runs."""
    offers = Offering(root, **settings)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            give(self, offers)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    offers.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield offers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def give(handler: BaseHTTPRequestHandler, offers: Offering) -> None:
    path, wanted = handler.path.removeprefix("/"), re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start = int(wanted[1]) if wanted and offers.ranges else 0
    offers.asked.append((path, start))
    if offers.down:
        handler.close_connection = True
        return
    code = offers.answer or (401 if handler.headers.get("Authorization") != offers.authorization else 0)
    code = code or (404 if not (offers.root / path).is_file() else 206 if start else 200)
    handler.send_response(code)
    if code == 302:
        handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
    if code not in (200, 206):
        handler.end_headers()
        return
    whole = offers.spoil((offers.root / path).read_bytes())
    handler.send_header("Content-Length", str(len(whole) - start))
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
    handler.end_headers()
    body = whole[start:]
    if offers.cuts:
        body = body[: offers.cuts.pop(0)]
        handler.close_connection = True
    with suppress(ConnectionError):  # who asked has enough
        handler.wfile.write(body)
    offers.sent += len(body)


def open_site(name: str, url: str, root: Path, **changes: Any) -> Night:
    """A site of a database."""
    settings = embedded_settings(root).model_copy(update={"site": name, "database_url": SecretStr(url), **changes})
    engine = open_engine(settings)
    initialise(settings, engine)
    return Night(settings, database.session_factory(engine))


def two_sites(url: str, folder: Path, offers_at: str, **placed: Any) -> tuple[Night, Night]:
    """A mountain that has the frames, and a base, told where the mountain's files are, at which some steps run."""
    placement = dict.fromkeys(placed.pop("at_base", AT_BASE), BASE)
    mountain = open_site(MOUNTAIN, url, folder / MOUNTAIN, placement=placement, **placed)
    base = open_site(BASE, url, folder / BASE, sites={MOUNTAIN: OtherSite(url=offers_at)}, **placed)
    return mountain, base
