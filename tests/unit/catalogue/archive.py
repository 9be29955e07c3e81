"""A stand-in for Gaia's archive: a small sky with known stars, behind a TAP service on this machine."""

import io
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import numpy as np
from astropy.table import MaskedColumn, Table

from pipeline.sky import healpix

DRIP_S = 0.02


def sky(ra: float, dec: float, half_deg: float, count: int, seed: int = 1) -> Table:
    """Stars in a square about a place, with Gaia's column names and types; G is uniform from 8 to 20."""
    rng = np.random.default_rng(seed)
    stars_ra = (ra + rng.uniform(-half_deg, half_deg, count) / np.cos(np.radians(dec))) % 360.0
    stars_dec = dec + rng.uniform(-half_deg, half_deg, count)
    unknown = rng.random(count) < 0.1  # two-parameter solutions
    colour = rng.uniform(0.3, 2.5, count)
    g = rng.uniform(8.0, 20.0, count)
    ids = (healpix.cells(np.column_stack([stars_ra, stars_dec])) << 35) + rng.permutation(count)
    table = Table()
    table["source_id"] = ids
    table["ra"], table["dec"] = stars_ra, stars_dec
    for name, values in (("pmra", rng.normal(0, 20, count)), ("pmdec", rng.normal(0, 20, count))):
        table[name] = MaskedColumn(values, mask=unknown)
    table["parallax"] = MaskedColumn(rng.exponential(1.0, count), mask=unknown)
    table["phot_g_mean_mag"] = g.astype("f4")
    table["phot_bp_mean_mag"] = (g + 0.4 * colour).astype("f4")
    table["phot_rp_mean_mag"] = (g - 0.6 * colour).astype("f4")
    table["phot_variable_flag"] = np.where(rng.random(count) < 0.05, "VARIABLE", "NOT_AVAILABLE")
    table["ref_epoch"] = np.full(count, 2016.0)
    return table


def votable(table: Table, status: str = "OK") -> bytes:
    """A table as a TAP service sends it, with its status behind the rows."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        table.write(file, format="votable", table_id="result", tabledata_format="binary2")
    info = f'<INFO name="QUERY_STATUS" value="{status}"/></RESOURCE>'.encode()
    return file.getvalue().replace(b"</RESOURCE>", info)


class Archive:
    """Answers `services.sky.catalogue.gaia_archive`; ``spoil`` may answer instead, and ``rows_max`` cuts answers."""

    def __init__(self, stars: Table) -> None:
        self.stars = stars
        self.queries: list[str] = []
        self.rows_max = 1_000_000
        self.spoil: Callable[[BaseHTTPRequestHandler, bytes], None] | None = None
        self.url = ""

    def answer(self, query: str) -> bytes:
        """The VOTable for a query."""
        limit = re.search(r"phot_g_mean_mag < ([\d.]+)", query)
        ranges = re.findall(r"source_id BETWEEN (\d+) AND (\d+)", query)
        assert limit is not None
        assert ranges
        ids = np.asarray(self.stars["source_id"])
        inside = np.zeros(ids.size, dtype=bool)
        for first, last in ranges:
            inside |= (ids >= int(first)) & (ids <= int(last))
        chosen = self.stars[inside & (np.asarray(self.stars["phot_g_mean_mag"]) < float(limit[1]))]
        return votable(chosen[: self.rows_max], "OVERFLOW" if len(chosen) > self.rows_max else "OK")


@contextmanager
def serve(archive: Archive) -> Iterator[Archive]:
    """The archive on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            archive.queries.append(form["QUERY"][0])
            assert self.path == "/tap/sync"
            assert form["LANG"] == ["ADQL"]
            body = archive.answer(form["QUERY"][0]) if archive.stars is not None else b""
            (archive.spoil or send)(self, body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    archive.url = f"http://127.0.0.1:{server.server_port}/tap"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, code: int = 200, promised: int | None = None) -> None:
    """Send a body; fewer bytes than promised is a connection that broke."""
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(body) if promised is None else promised))
    handler.end_headers()
    handler.wfile.write(body)


def drip(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(DRIP_S)
    except OSError:
        pass
