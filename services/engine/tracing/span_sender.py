"""Sends spans to an OTLP endpoint from a thread of its own. Work never waits for it: what finds no room is left out."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from sqlalchemy.exc import DBAPIError

from services.background_thread import BackgroundThread
from services.log import get_logger

log = get_logger("traces")
SEND_EVERY_S = 1.0
MOST_WAITING = 10_000
MOST_AT_ONCE = 500
LAST_S = 2.0  # for what is left when the program ends

Item = TypeVar("Item")


class SpanSender(Generic[Item]):
    """Makes spans of what it is given, and sends them about once a second."""

    def __init__(self, exporter: SpanExporter, span_of: Callable[[Item], ReadableSpan]) -> None:
        self.thread = BackgroundThread("traces", self._work)
        for library in ("opentelemetry", "urllib3"):  # which say so at each try; we say it once
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._exporter = exporter
        self._span_of = span_of
        self._waiting: deque[Item] = deque(maxlen=MOST_WAITING)
        self._stopping = threading.Event()
        self._left_out = 0
        self._is_away = False

    def give(self, item: Item) -> None:
        """Returns at once."""
        self._left_out += len(self._waiting) == MOST_WAITING
        self._waiting.append(item)

    def _work(self) -> None:
        """Until told to stop; what is left then is tried once."""
        while not self._stopping.wait(SEND_EVERY_S):
            self._send_waiting()
        self._send_waiting()

    def stop(self) -> None:
        """Send what is left, but not for long."""
        self._stopping.set()
        self.thread.join(LAST_S)
        self._exporter.shutdown()

    def _send_waiting(self) -> None:
        while self._waiting:
            items = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
            try:
                sent = self._exporter.export([self._span_of(item) for item in items]) is SpanExportResult.SUCCESS
                reason = "the endpoint does not take them (OTEL_EXPORTER_OTLP_ENDPOINT)"
            except DBAPIError as error:
                sent, reason = False, f"the database does not answer: {error.orig}"
            if not sent:
                self._left_out += len(items)
                if not self._is_away:
                    log.warning("traces are left out, all else goes on", reason=reason)
                self._is_away = True
                return
            if self._is_away:
                log.info("traces are sent again", left_out=self._left_out)
            self._is_away, self._left_out = False, 0
