"""What is traced where setting `traces` asks for it: attempts of a consumer, and publications."""

import atexit
import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.orm import Session

from schema import database
from schema.attempts import Claim, NoteEnd, Usage
from schema.queries.publishing import NewProcess
from services.errors import ConfigurationError
from services.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from services.engine.tracing.span_sender import SpanSender
    from services.engine.tracing.spans import PublishedGraph


@contextmanager
def attempts_traced(settings: Settings, note_end: NoteEnd | None = None) -> Iterator[NoteEnd | None]:
    """Who hears of each attempt that ends while the block runs: ``note_end``, and who traces where that is asked for.

    Raises:
        ConfigurationError: traces are asked for, and OpenTelemetry is not there or not set up well.
    """
    if not settings.traces:
        yield note_end
        return
    exporter = _exporter()
    from services.engine.tracing.span_sender import SpanSender
    from services.engine.tracing.spans import EndedAttempt, Spans

    sessions = database.reading_factory(database.connect(settings.database_url.get_secret_value()))
    spans = Spans()
    sender: SpanSender[EndedAttempt] = SpanSender(exporter, lambda ended: spans.of_attempt(ended, sessions))
    sender.thread.start()

    def note(claim: Claim, usage: Usage | None, outcome: str) -> None:
        if note_end is not None:
            note_end(claim, usage, outcome)
        sender.give(EndedAttempt(claim, usage, outcome, time.time()))

    try:
        yield note
    finally:
        sender.stop()


def trace_publication(
    settings: Settings, session: Session, processes: Sequence[NewProcess], made: Container[int]
) -> None:
    """Tell of the graphs of these processes when the session commits; ``made``: those that need not run.

    Raises:
        ConfigurationError: traces are asked for, and OpenTelemetry is not there or not set up well.
    """
    if not settings.traces:
        return
    sender = of_publications()
    from services.engine.tracing.spans import PublishedGraph

    first = {process.graph_pid: process for process in reversed(processes)}
    to_run = Counter(process.graph_pid for process in processes if process.pid not in made)

    def tell(_session: Session) -> None:
        for graph_pid, process in first.items():
            facts = (graph_pid, process.observation_id, settings.site, to_run[graph_pid])
            sender.give(PublishedGraph(*facts, time.time()))

    event.listen(session, "after_commit", tell, once=True)


@cache
def of_publications() -> "SpanSender[PublishedGraph]":
    """One for this program, which ends with it."""
    exporter = _exporter()
    from services.engine.tracing.span_sender import SpanSender
    from services.engine.tracing.spans import Spans

    sender = SpanSender(exporter, Spans().of_graph)
    sender.thread.start()
    atexit.register(sender.stop)
    return sender


def _exporter() -> "SpanExporter":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigurationError(
            f"setting traces needs OpenTelemetry, which is not installed ({error}): pip install 'tianyu[traces]', "
            "or leave the setting out"
        ) from error
    try:
        return OTLPSpanExporter()
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"setting traces: a variable OTEL_EXPORTER_OTLP_… cannot be used ({error}): correct or unset it"
        ) from error
