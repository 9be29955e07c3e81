"""What a collector of traces is asked to take, by OTLP over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PATH = "/v1/traces"


@dataclass(frozen=True)
class ReceivedSpan:
    """A span; ids in hexadecimal."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    is_ok: bool
    links: list[str]
    facts: dict[str, Any]


@dataclass
class TraceReceiver:
    """Takes all that comes."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _facts(of_resource.resource.attributes)["service.name"]
            self.spans += [_received(span, service) for scope in of_resource.scope_spans for span in scope.spans]


@contextmanager
def trace_receiver() -> Iterator[TraceReceiver]:
    """One that listens while the block runs."""
    receiver = TraceReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == PATH
            receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def _received(span: Span, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        is_ok=span.status.code == Status.STATUS_CODE_OK,
        links=[link.span_id.hex() for link in span.links],
        facts=_facts(span.attributes),
    )


def _facts(attributes: Any) -> dict[str, Any]:
    def value(one: KeyValue) -> Any:
        return getattr(one.value, one.value.WhichOneof("value"))

    return {one.key: value(one) for one in attributes}
