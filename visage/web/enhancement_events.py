"""The progress of an enhancement as server-sent events (WHATWG HTML, 9.2), and its result in the last of them."""

import json
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import pybase64
from werkzeug.exceptions import ClientDisconnected

from visage.enhance.results import Enhanced
from visage.enhance.steps import Progress, Steps, TilesDone
from visage.json_types import Count, JsonSchema, as_json_types
from visage.logs import logger, request_id
from visage.packs.pack import Pack
from visage.web import metrics
from visage.web.error_handlers import error_json
from visage.web.responses import ResultSummary, ServiceResponse


@dataclass(frozen=True)
class EnhanceProgressJson:
    """How far an enhancement is."""

    done: Count
    """Tiles of the picture that are done."""
    tiles: Annotated[int, JsonSchema(minimum=1)]
    """All tiles of the picture."""


def enhancement_events(steps: Steps[Enhanced], check: Progress, pack: Pack, *, picture: bool) -> ServiceResponse:
    """Return the events of an enhancement: `progress` at once and after every tile, then `end` or `error`.

    `check` is called before each `progress`; an exception that it raises ends the work. So does a client that closes
    the stream. With `picture`, the result in `end` includes the picture.

    Raises:
        RequestError, BusyError: the picture cannot be enhanced, or must wait.
    """
    with ExitStack() as stack:
        stack.enter_context(closing(steps))
        # Errors until here have their own status; after this the status is sent.
        first = next(steps)
        check(first.done, first.tiles)
        report = _Report(request_id.get())
        response = _EventStream(_events(first, steps, check, report, pack, picture=picture), report)
        response.call_on_close(stack.pop_all().close)
    response.headers["Vary"] = "Accept"
    # nginx would buffer events.
    response.headers["X-Accel-Buffering"] = "no"
    return response


class _Report:
    """How an enhancement ended, for the log, the metrics and the traces."""

    def __init__(self, request: str) -> None:
        self.request_id = request
        self.result: ResultSummary | None = None
        self.error_code: str | None = None
        self._started = time.perf_counter()
        self._fields: dict[str, object] = {}

    def done(self, seconds: Mapping[str, float]) -> None:
        self._fields["stages"] = {stage: _milliseconds(each) for stage, each in seconds.items()}
        self.result = ResultSummary(seconds)
        metrics.count_late(self.result)

    def failed(self, code: str) -> None:
        self._fields["code"] = self.error_code = code
        metrics.count_late(code=code)

    def log(self) -> None:
        """Write a line, which has neither `stages` nor `code` if the client left."""
        milliseconds = _milliseconds(time.perf_counter() - self._started)
        logger.info("enhancement_ended", extra={"fields": {"milliseconds": milliseconds, **self._fields}})


class _EventStream(ServiceResponse):
    """The response with the events. It has its result, or its error code, when it is closed."""

    def __init__(self, events: Iterator[bytes], report: _Report) -> None:
        super().__init__(events, content_type="text/event-stream")
        # The report does not know the response: one that nobody reads is freed at once, and the steps with it.
        self._report = report

    def close(self) -> None:
        self.result, self.error_code = self._report.result, self._report.error_code
        super().close()


def _events(
    first: TilesDone, steps: Steps[Enhanced], check: Progress, report: _Report, pack: Pack, *, picture: bool
) -> Iterator[bytes]:
    # Flask has cleared it with the end of the request, which for Flask is the beginning of the response.
    request_id.set(report.request_id)
    try:
        enhanced = yield from _progress_events(first, steps, check)
        report.done(enhanced.seconds)
        content = orjson.dumps(enhanced.as_json(pack))
        # In its last field, as base64, which needs no escaping.
        field = (b',"picture":"', pybase64.b64encode(enhanced.picture), b'"') if picture else ()
        # Large pictures take more memory than all the rest.
        del enhanced
        # In one piece, which the server buffers: no thread waits for a client that reads slowly.
        yield b"".join((b"event: end\ndata: ", content[:-1], *field, b"}\n\n"))
    except ClientDisconnected:
        return
    except Exception as error:
        failure = error_json(error)
        report.failed(failure.code)
        yield _event("error", as_json_types(failure))
    finally:
        report.log()
        request_id.set("")


def _progress_events(first: TilesDone, steps: Steps[Enhanced], check: Progress) -> Generator[bytes, None, Enhanced]:
    step = first
    while True:
        yield _event("progress", as_json_types(EnhanceProgressJson(step.done, step.tiles)))
        try:
            step = next(steps)
        except StopIteration as end:
            enhanced: Enhanced = end.value
            return enhanced
        check(step.done, step.tiles)


def _event(kind: str, content: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n".encode()


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
