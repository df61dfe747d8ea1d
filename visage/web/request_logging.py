"""One log line for each request, and the request IDs that connect log lines and responses."""

import time

from flask import Flask

from visage.logs import logger, request_id, valid_request_id
from visage.web.photo_request import this_request
from visage.web.responses import ServiceResponse
from visage.web.tracing import trace_id

REQUEST_ID = "X-Request-ID"


def init_app(app: Flask, *, log_addresses: bool) -> None:
    """Give every request of `app` an ID, and log it when its response is ready."""

    @app.before_request
    def assign_request_id() -> None:
        request_id.set(valid_request_id(this_request().headers.get(REQUEST_ID, "")))

    @app.after_request
    def log_request(response: ServiceResponse) -> ServiceResponse:
        response.headers[REQUEST_ID] = request_id.get()
        if not app.extensions["self_test"]:
            address = {"address": this_request().remote_addr} if log_addresses else {}
            logger.info("request", extra={"fields": _fields(response) | address})
        return response

    @app.teardown_request
    def clear_request_id(_error: BaseException | None) -> None:
        # The thread goes on to other work, which must not be logged under this ID.
        request_id.set("")


def _fields(response: ServiceResponse) -> dict[str, object]:
    request = this_request()
    fields: dict[str, object] = {
        "method": request.method,
        "route": request.route,
        "status": response.status_code,
        "milliseconds": _milliseconds(time.perf_counter() - request.started),
    }
    if response.result:
        if response.result.faces is not None:
            fields["faces"] = response.result.faces
        fields["stages"] = {stage: _milliseconds(seconds) for stage, seconds in response.result.stages.items()}
    if response.error_code:
        fields["code"] = response.error_code
    if trace_id.get():
        fields["trace_id"] = trace_id.get()
    return fields


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
