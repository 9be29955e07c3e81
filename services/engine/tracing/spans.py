"""Spans of publications and attempts, as OpenTelemetry has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from sqlalchemy.orm import Session, sessionmaker

from schema.attempts import Claim, Usage
from schema.processes import SUCCEEDED
from schema.queries import tracing
from schema.queries.publishing import published_at
from services.engine.tracing.span_ids import PUBLICATION, span_id, trace_id

NAME = "tianyu"
MOST_LINKS = 128  # of a span, as OpenTelemetry's own limit is
NS = 1_000_000_000
RECORDED = TraceFlags(TraceFlags.SAMPLED)

Value = str | int | float


@dataclass(frozen=True)
class PublishedGraph:
    """A graph that was committed, at this Unix time; ``processes`` of it will run, others were made before."""

    graph_pid: int
    observation_id: int | None
    site: str
    processes: int
    ended_at: float


@dataclass(frozen=True)
class EndedAttempt:
    """An attempt that ended at this Unix time."""

    claim: Claim
    usage: Usage | None
    outcome: str
    ended_at: float


class Spans:
    """Those of one program."""

    def __init__(self) -> None:
        ours = Resource({"service.name": NAME, "service.version": version(NAME)})
        self._resource = ours.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        self._scope = InstrumentationScope(NAME, version(NAME))

    def of_graph(self, graph: PublishedGraph) -> ReadableSpan:
        """From the time that its first PID tells until it was committed."""
        facts: dict[str, Value | None] = {
            "tianyu.graph_pid": graph.graph_pid,
            "tianyu.site": graph.site,
            "tianyu.processes": graph.processes,
            "tianyu.observation_id": graph.observation_id,
        }
        return self._span(
            "publish",
            _context(graph.graph_pid, graph.graph_pid, PUBLICATION),
            (published_at(graph.graph_pid), graph.ended_at),
            facts,
            kind=SpanKind.PRODUCER,
        )

    def of_attempt(self, ended: EndedAttempt, sessions: sessionmaker[Session]) -> ReadableSpan:
        """From when its step began, as its worker measured, until it ended; the database is asked for the rest."""
        claim, usage = ended.claim, ended.usage
        with sessions() as session:
            where = tracing.where(session, claim.pid, claim.attempt)
            made = tracing.made_by(session, claim.pid, MOST_LINKS)
        facts: dict[str, Value | None] = {
            "tianyu.command": claim.command,
            "tianyu.pid": claim.pid,
            "tianyu.graph_pid": claim.graph_pid,
            "tianyu.attempt": claim.attempt,
            "tianyu.observation_id": claim.observation_id,
            "tianyu.outcome": ended.outcome,
        }
        began = ended.ended_at - usage.seconds if usage is not None and usage.seconds else None
        if where is not None:
            started = _unix_time(where.started_at)
            # One that is claimed at once is at work before the manager has written down that it was sent.
            sent = started if where.sent_at is None else min(_unix_time(where.sent_at), started)
            facts |= {"tianyu.site": where.site, "tianyu.group": where.group, "tianyu.worker": where.worker}
            if ended.outcome == SUCCEEDED:  # one that failed may have been sent again since
                facts["tianyu.queue_wait_s"] = started - sent
            began = started if began is None else began
        if usage is not None:
            facts |= {"tianyu.cpu_s": usage.cpu_seconds, "tianyu.max_rss_bytes": usage.max_rss_bytes}
        return self._span(
            claim.command,
            _context(claim.graph_pid, claim.pid, claim.attempt),
            (ended.ended_at if began is None else began, ended.ended_at),
            facts,
            parent=_context(claim.graph_pid, claim.graph_pid, PUBLICATION),
            links=[Link(_context(*one)) for one in made],
            kind=SpanKind.CONSUMER,
            status=Status(StatusCode.OK) if ended.outcome == SUCCEEDED else Status(StatusCode.ERROR, ended.outcome),
        )

    def _span(
        self,
        name: str,
        context: SpanContext,
        times: tuple[float, float],
        facts: Mapping[str, Value | None],
        *,
        kind: SpanKind,
        parent: SpanContext | None = None,
        links: list[Link] | None = None,
        status: Status | None = None,
    ) -> ReadableSpan:
        began, ended = times
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            {name: value for name, value in facts.items() if value is not None},
            links=links or (),
            kind=kind,
            status=status or Status(StatusCode.OK),
            start_time=int(min(began, ended) * NS),  # of clocks of two machines the first may be behind
            end_time=int(ended * NS),
            instrumentation_scope=self._scope,
        )


def _context(graph_pid: int, pid: int, attempt: int) -> SpanContext:
    return SpanContext(trace_id(graph_pid), span_id(pid, attempt), is_remote=False, trace_flags=RECORDED)


def _unix_time(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()
