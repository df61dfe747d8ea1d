"""Traces: a collector gets a span for each request and stage, connected with the caller, the log and the response."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from tests.support.container import lacks
from tests.support.service import serving
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(lacks("opentelemetry.sdk"), reason="the image does not contain OpenTelemetry")

protocol: Any = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the packages of visage-faces[otel]"
)

# A collector that is never called.
ANYWHERE = "http://127.0.0.1:9"

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Receives traces over HTTP, as OTLP defines it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.resources: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> dict[str, Any]:
        """The spans by name."""
        return {
            span.name: span for resource in self.resources for scope in resource.scope_spans for span in scope.spans
        }


class Receiver(BaseHTTPRequestHandler):
    """Stores what was sent to its server."""

    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            self.server.resources += protocol.ExportTraceServiceRequest.FromString(body).resource_spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def attributes(item: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in item.attributes}


def test_a_photo_is_a_span_below_the_callers_with_one_for_each_stage(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, collector: Collector
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **settings) as service:
        sent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "order-17"}
        requests.post(f"{service.url}/predict", files={"image": ("secret.png", tiny_png)}, headers=sent, timeout=60)
        assert wait_for(lambda: "POST /predict" in collector.spans)

        log = [json.loads(line) for line in service.log.read_text().splitlines()]

    spans = collector.spans
    request = spans["POST /predict"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "visage.request_id": "order-17",
        "visage.faces": 3,
    }
    stages = [spans[name] for name in ("wait", "decode", "detect", "attributes", "annotate", "encode")]
    assert {each.parent_span_id for each in stages} == {request.span_id}
    assert all(request.start_time_unix_nano <= each.start_time_unix_nano for each in stages)
    assert all(each.end_time_unix_nano <= request.end_time_unix_nano + 1000 for each in stages)
    assert attributes(collector.resources[0].resource)["service.name"] == "visage"
    (line,) = [each for each in log if each["event"] == "request" and each["route"] == "/predict"]
    assert (line["trace_id"], line["request_id"]) == (TRACE, "order-17")


def test_an_enhancement_as_events_is_a_span_until_its_last_event(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, collector: Collector
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        url = f"{service.url}/enhance?format=events"
        answer = requests.post(url, files={"image": ("a.png", tiny_png)}, timeout=60)
        assert wait_for(lambda: "POST /enhance" in collector.spans)

    assert "event: end" in answer.text
    spans = collector.spans
    request, stage = spans["POST /enhance"], spans["enlarge"]
    assert stage.parent_span_id == request.span_id
    assert request.start_time_unix_nano < stage.start_time_unix_nano
    assert stage.start_time_unix_nano < stage.end_time_unix_nano <= request.end_time_unix_nano + 1000


def test_an_error_has_its_code_and_no_path_of_the_client(tiny_pack: Path, tmp_path: Path, collector: Collector) -> None:
    settings = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        requests.get(f"{service.url}/batches/{'A' * 24}", timeout=60)
        assert wait_for(lambda: "GET /batches/<batch_id>" in collector.spans)

    span = collector.spans["GET /batches/<batch_id>"]
    assert attributes(span)["error.type"] == "batch_not_found"
    assert b"A" * 24 not in span.SerializeToString()


def test_spans_that_were_not_sent_yet_are_sent_when_the_service_stops(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, collector: Collector
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        service.post(tiny_png)

    assert "POST /predict" in collector.spans


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="no collector"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": ANYWHERE, "OTEL_SDK_DISABLED": "true"}, id="SDK disabled"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": ANYWHERE, "OTEL_TRACES_EXPORTER": "none"}, id="no exporter"),
    ],
)
def test_without_traces_no_package_of_opentelemetry_is_loaded(tiny_pack: Path, variables: dict[str, str]) -> None:
    code = (
        "import sys; from visage.web import create_app; from visage.settings import Settings; "
        f"create_app(Settings(pack={str(tiny_pack)!r})); print('opentelemetry' in sys.modules)"
    )
    command, environment = [sys.executable, "-c", code], os.environ | variables
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert printed == "False\n"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "visage"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=faces,deployment.environment.name=test"}, "faces"),
        ({"OTEL_SERVICE_NAME": "portraits", "OTEL_RESOURCE_ATTRIBUTES": "service.name=faces"}, "portraits"),
    ],
)
def test_the_environment_names_the_service(
    tiny_pack: Path, tmp_path: Path, collector: Collector, variables: dict[str, str], name: str
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"} | variables
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        requests.get(f"{service.url}/healthz", timeout=60)
        assert wait_for(lambda: collector.resources)

    assert attributes(collector.resources[0].resource)["service.name"] == name


def test_a_request_that_is_not_sampled_has_no_trace_id_in_the_log(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, collector: Collector
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": "always_off"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        service.post(tiny_png)

    log = [json.loads(line) for line in service.log.read_text().splitlines()]
    (line,) = [each for each in log if each["event"] == "request" and each["route"] == "/predict"]
    assert "trace_id" not in line
    assert collector.spans == {}
