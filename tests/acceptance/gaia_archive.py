"""A stand-in for Gaia's archive on this machine: it answers, stalls, or sends what is no answer."""

import io
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from astropy.table import Table

GARBAGE = b"<html><body><h1>503</h1>The archive is being served tea.</body></html>"


@dataclass
class Archive:
    """What of the archive a test decides: its table, and how it behaves at the moment."""

    table: Table
    mood: str = "well"  # well, stalling, garbage
    queries: list[str] = field(default_factory=list)

    def answer(self, adql: str) -> bytes:
        """The VOTable to a query for ranges of source ids brighter than a limit."""
        [limit] = re.findall(r"phot_g_mean_mag < ([\d.]+)", adql)
        chosen = np.zeros(len(self.table), dtype=bool)
        for first, last in re.findall(r"source_id BETWEEN (\d+) AND (\d+)", adql):
            chosen |= (self.table["source_id"] >= int(first)) & (self.table["source_id"] <= int(last))
        body = io.BytesIO()
        self.table[chosen & (self.table["phot_g_mean_mag"] < float(limit))].write(body, format="votable")
        return body.getvalue()


@contextmanager
def archive(gaia_csv: Path, port: int, mood: str = "well") -> Iterator[Archive]:
    """Serve a catalogue as `http://127.0.0.1:PORT/tap`."""
    state = Archive(Table.read(gaia_csv, format="csv"), mood)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            state.queries.append(form["QUERY"][0])
            if state.mood == "stalling":
                over.wait(60)
                return
            body = GARBAGE if state.mood == "garbage" else state.answer(form["QUERY"][0])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
