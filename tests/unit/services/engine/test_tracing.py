"""Traces cost nobody anything: an endpoint that is away is said once, and what does not fit is left out."""

import sys
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from pydantic import SecretStr
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from services.engine.tracing import span_sender
from services.engine.tracing.span_ids import PUBLICATION, span_id, trace_id
from services.engine.tracing.span_sender import SpanSender
from services.engine.tracing.traced import attempts_traced, of_publications, trace_publication
from services.errors import ConfigurationError
from services.settings import Settings

PID = 1795000000000000001
TRACED = Settings(traces=True, database_url=SecretStr("sqlite://"))


class Collector(SpanExporter):
    """One that is there or away."""

    def __init__(self) -> None:
        self.is_there = True
        self.taken: list[int] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self.is_there:
            return SpanExportResult.FAILURE
        self.taken += cast(list[int], spans)
        return SpanExportResult.SUCCESS


def sender_to(collector: SpanExporter) -> SpanSender[int]:
    return SpanSender(collector, lambda item: cast(Any, item))


def send(sender: SpanSender[int], *items: int) -> list[tuple[str, Any]]:
    """Give all, send them, and what was logged with it: the event, and how many were left out."""
    for item in items:
        sender.give(item)
    with capture_logs() as logged:
        sender._send_waiting()
    return [(line["event"], line.get("left_out")) for line in logged]


def test_a_trace_is_found_by_the_pid() -> None:
    assert f"{trace_id(PID):032x}" == "0000000000000" + str(PID)
    ids = {span_id(pid, attempt) for pid in range(PID, PID + 1000) for attempt in range(PUBLICATION, 4)}
    assert len(ids) == 4000
    assert all(0 < one < 2**64 for one in ids)


def test_an_endpoint_that_is_away_is_said_once() -> None:
    collector = Collector()
    sender = sender_to(collector)
    assert send(sender, 1, 2) == []
    collector.is_there = False
    assert send(sender, 3) == [("traces are left out, all else goes on", None)]
    assert send(sender, 4, 5) == []
    collector.is_there = True
    assert send(sender, 6) == [("traces are sent again", 3)]
    assert send(sender, 7) == []
    assert collector.taken == [1, 2, 6, 7]


def test_who_gives_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Hanging(Collector):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            asked.set()
            answer.wait()
            return super().export(spans)

    monkeypatch.setattr(span_sender, "SEND_EVERY_S", 0.01)
    collector = Hanging()
    sender = sender_to(collector)
    sender.thread.start()
    sender.give(-1)
    assert asked.wait(timeout=60)
    most = span_sender.MOST_WAITING
    for item in range(most + 5):
        sender.give(item)  # the exporter hangs meanwhile
    answer.set()
    sender.stop()
    sender.thread.join(timeout=60)
    assert collector.taken == [-1, *range(5, most + 5)]


def test_what_is_missing_for_traces_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    of_publications.cache_clear()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tianyu\[traces\]'"), attempts_traced(TRACED):
        pass
    with pytest.raises(ConfigurationError, match=r"pip install 'tianyu\[traces\]'"):
        trace_publication(TRACED, Session(), [], ())


def test_a_variable_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:  # as some versions do, where others go on by a default
        raise ValueError("'much' is not a valid Compression")

    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", refuse)
    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_….*'much'"), attempts_traced(TRACED):
        pass
