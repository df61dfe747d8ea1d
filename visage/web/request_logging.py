"""A line in the log for every request, and the request ids that tie lines and answers together."""

import time

from flask import Flask, Response

from visage.enhance.results import Enhanced
from visage.logs import logger, request_id, valid_request_id
from visage.web.photo_request import this_request

REQUEST_ID = "X-Request-ID"


def install(app: Flask, *, log_addresses: bool) -> None:
    """Give every request of `app` an id and write a line when it was answered."""

    @app.before_request
    def begin() -> None:
        request = this_request()
        request_id.set(valid_request_id(request.headers.get(REQUEST_ID, "")))
        request.started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        request = this_request()
        response.headers[REQUEST_ID] = request_id.get()
        if app.extensions["self_test"]:
            return response
        fields: dict[str, object] = {
            "method": request.method,
            # The rule, never the path that was asked for: that is the caller's text.
            "route": request.url_rule.rule if request.url_rule else None,
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - request.started) * 1000, 1),
        }
        worked = request.worked
        if worked:
            if not isinstance(worked, Enhanced):
                fields["faces"] = len(worked.faces)
            fields["stages"] = {stage: round(seconds * 1000, 1) for stage, seconds in worked.seconds.items()}
        if request.refused:
            fields["code"] = request.refused
        if log_addresses:
            fields["address"] = request.remote_addr
        logger.info("request", extra={"fields": fields})
        return response

    @app.teardown_request
    def end(_error: BaseException | None) -> None:
        # Threads serve many requests: what one logs after this belongs to none of them.
        request_id.set("")
