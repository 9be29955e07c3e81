"""An Alpaca server with a camera, a mount and a filter wheel, as its REST API says (ASCOM Alpaca API Reference, v1).

It is a device and no part of Tianyu: it answers HTTP, keeps what it is set to, and lets time pass. Exposures take a
``speed``-th of their time. Its images are [x][y], by ImageBytes or, with ``json_only``, as nested lists.
"""

import json
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray

IDLE, EXPOSING, ERROR = 0, 2, 5
NOT_IMPLEMENTED, INVALID_VALUE, NOT_CONNECTED, PARKED, INVALID_OPERATION = 0x400, 0x401, 0x407, 0x408, 0x40B
INT32, UINT16 = 2, 8  # of ImageBytes
TOPOCENTRIC, J2000 = 1, 2
DEGREES_A_HOUR = 15.0


class AlpacaError(Exception):
    """An error that the device tells, by its number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass(frozen=True)
class Exposure:
    """What the camera was asked for, and where it stood then."""

    seconds: float
    light: bool
    filter: str
    radec: tuple[float, float]
    gain: int
    binning: int


@dataclass
class Observatory:
    """State of the devices; ``pixels`` gives an image [ny, nx] for each exposure."""

    pixels: Callable[[Exposure], NDArray[Any]]
    shape: tuple[int, int]  # (ny, nx)
    speed: float = 1.0
    json_only: bool = False
    filters: tuple[str, ...] = ("Dark", "R", "V")
    system: int = J2000
    electrons_per_adu: float | None = 1.5
    clock_s: float = 0.0  # by how much the camera's clock is ahead
    connected: dict[str, bool] = field(default_factory=dict)
    parked: bool = False
    tracking: bool = False
    slew_s: float = 0.0
    faults: dict[str, deque[AlpacaError]] = field(default_factory=dict)  # by method, each told once
    log: list[str] = field(default_factory=list)  # of what was done, in order
    exposures: list[Exposure] = field(default_factory=list)
    aborted: int = 0
    position: int = 0
    radec: tuple[float, float] = (0.0, 90.0)  # degrees, in the mount's system
    values: dict[str, Any] = field(default_factory=lambda: {"binx": 1, "biny": 1, "gain": 100})
    _slews_until: float = 0.0
    _exposed_at: float | None = None
    _began: datetime | None = None
    _ready: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def fail(self, method: str, number: int, message: str) -> None:
        """Let one call of a method fail."""
        self.faults.setdefault(method, deque()).append(AlpacaError(number, message))

    def answer(self, device: str, method: str, values: dict[str, str] | None) -> Any:
        """The value of a property, or what a call (``values``) gives."""
        with self.lock:
            if (waiting := self.faults.get(method)) and (values is not None or method == "imagearray"):
                raise waiting.popleft()
            if method == "interfaceversion":
                return {"camera": 3, "telescope": 3, "filterwheel": 2}[device]
            if method == "name":
                return f"simulated {device}"
            if method == "connected":
                if values is None:
                    return self.connected.get(device, False)
                self.connected[device] = values["Connected"].lower() == "true"
                return None
            if not self.connected.get(device):
                raise AlpacaError(NOT_CONNECTED, f"{device} is not connected")
            return getattr(self, f"_{device}")(method, values)

    def _camera(self, method: str, values: dict[str, str] | None) -> Any:
        self._pass_time()
        if values is not None:
            if method == "startexposure":
                return self._start(float(values["Duration"]), values["Light"].lower() == "true")
            if method == "abortexposure":
                self.aborted += self._exposed_at is not None
                self.log.append("abort")
                self._exposed_at = None
                return None
            [value] = values.values()
            if method in ("binx", "biny") and int(value) not in (1, 2):
                raise AlpacaError(INVALID_VALUE, f"binning {value}")
            if method == "gain" and not 0 <= int(value) <= 500:
                raise AlpacaError(INVALID_VALUE, f"gain {value}")
            self.values[method] = int(value)
            return None
        ny, nx = self.shape
        if method == "imageready":
            return self._ready
        if method == "camerastate":
            return EXPOSING if self._exposed_at is not None else IDLE
        if method == "imagearray":
            if not self._ready:
                raise AlpacaError(INVALID_OPERATION, "there is no image")
            return self.pixels(self.exposures[-1])
        told = {
            "cameraxsize": nx, "cameraysize": ny, "canabortexposure": True, "maxadu": 65535, "exposuremin": 0.001,
            "exposuremax": 3600.0, "ccdtemperature": -10.0, "pixelsizex": 3.8, "offset": 10,
            "lastexposureduration": self.exposures[-1].seconds if self.exposures else None,
            "lastexposurestarttime": None if self._began is None else self._began.isoformat()[:23],
            "electronsperadu": self.electrons_per_adu,
        } | self.values  # fmt: skip
        if told.get(method) is None:
            raise AlpacaError(NOT_IMPLEMENTED, f"{method} is not implemented")
        return told[method]

    def _start(self, seconds: float, light: bool) -> None:
        if self._exposed_at is not None:
            raise AlpacaError(INVALID_OPERATION, "an exposure goes on")
        asked = (self.filters[self.position], self.radec, self.values["gain"], self.values["binx"])
        self.exposures.append(Exposure(seconds, light, *asked))
        self.log.append(f"expose {seconds:g}")
        now = datetime.now(UTC).timestamp() + self.clock_s
        self._began = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        self._exposed_at, self._ready = time.monotonic() + seconds / self.speed, False

    def prolong(self, seconds: float) -> bool:
        """Let the exposure that is being taken last longer; False where none is."""
        with self.lock:
            if self._exposed_at is not None:
                self._exposed_at += seconds
            return self._exposed_at is not None

    def _pass_time(self) -> None:
        if self._exposed_at is not None and time.monotonic() >= self._exposed_at:
            self._exposed_at, self._ready = None, True

    def _telescope(self, method: str, values: dict[str, str] | None) -> Any:
        if values is not None:
            if method == "slewtocoordinatesasync":
                if self.parked:
                    raise AlpacaError(PARKED, "the mount is parked")
                self.radec = (float(values["RightAscension"]) * DEGREES_A_HOUR, float(values["Declination"]))
                self._slews_until = time.monotonic() + self.slew_s
                self.log.append("slew")
            elif method == "tracking":
                self.tracking = values["Tracking"].lower() == "true"
            elif method == "abortslew":
                self.log.append("abort slew")
            return None
        told = {
            "rightascension": self.radec[0] / DEGREES_A_HOUR, "declination": self.radec[1], "tracking": self.tracking,
            "slewing": time.monotonic() < self._slews_until, "equatorialsystem": self.system, "cansettracking": True,
        }  # fmt: skip
        if method not in told:
            raise AlpacaError(NOT_IMPLEMENTED, f"{method} is not implemented")
        return told[method]

    def _filterwheel(self, method: str, values: dict[str, str] | None) -> Any:
        if values is not None:
            self.position = int(values["Position"])
            self.log.append(f"filter {self.filters[self.position]}")
            return None
        return {"names": list(self.filters), "position": self.position}[method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    observatory: Observatory

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer(None)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        values = {name: value[0] for name, value in parse_qs(body).items()}
        for name in ("ClientTransactionID", "ClientID"):
            values.pop(name, None)
        self._answer(values)

    def _answer(self, values: dict[str, str] | None) -> None:
        _, _, _, device, number, method = urlsplit(self.path).path.split("/")
        if number != "0":
            self._send(400, "text/plain", b"there is no such device")
            return
        error, value = (0, ""), None
        try:
            value = self.observatory.answer(device, method, values)
        except AlpacaError as raised:
            error = (raised.number, str(raised))
        wants_bytes = "imagebytes" in self.headers.get("Accept", "") and not self.observatory.json_only
        if isinstance(value, np.ndarray) and wants_bytes:
            self._send(200, "application/imagebytes", image_bytes(value))
            return
        if isinstance(value, np.ndarray):
            value = value.T.tolist()
        told = {"ClientTransactionID": 1, "ServerTransactionID": 1, "ErrorNumber": error[0], "ErrorMessage": error[1]}
        if values is None:
            told["Value"] = value
        self._send(200, "application/json; charset=utf-8", json.dumps(told).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def image_bytes(pixels: NDArray[Any]) -> bytes:
    """[ny, nx] as ImageBytes: 44 bytes that say what it is, then [x][y], y fastest."""
    ny, nx = pixels.shape
    kind = UINT16 if pixels.dtype == np.uint16 else INT32
    header = struct.pack("<11i", 1, 0, 1, 1, 44, INT32, kind, 2, nx, ny, 0)
    return header + np.ascontiguousarray(pixels.T.astype("<u2" if kind == UINT16 else "<i4")).tobytes()


@contextmanager
def serving(observatory: Observatory) -> Iterator[str]:
    """``HOST:PORT`` of a server of these devices, each of which is number 0."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"observatory": observatory}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
