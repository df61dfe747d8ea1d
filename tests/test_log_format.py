"""Every event is a line of JSON, whatever it has to tell."""

import json
import logging
import sys

import pytest

from visage.log_format import JsonFormatter
from visage.logs import request_id


def line(message: str, **fields: object) -> dict[str, object]:
    record = logging.LogRecord("visage", logging.INFO, "", 0, message, None, None)
    record.fields = fields
    written = JsonFormatter().format(record)
    # Whatever the log's encoding, and whatever its readers take for the end of a line.
    assert written.isascii()
    assert "\n" not in written
    event: dict[str, object] = json.loads(written)
    return event


def test_fields_and_the_request_stand_beside_the_event() -> None:
    token = request_id.set("7f3a")
    event = line("request", status=200, stages={"decode": 2.1})
    request_id.reset(token)

    assert {name: event[name] for name in ("level", "event", "request_id", "status", "stages")} == {
        "level": "info",
        "event": "request",
        "request_id": "7f3a",
        "status": 200,
        "stages": {"decode": 2.1},
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("two\nlines", id="a line end"),
        pytest.param("Grüße", id="letters beyond ASCII"),
        pytest.param("two\u2028lines", id="a line end of Unicode"),
        pytest.param("caf\udce9.jpg", id="a name that is no UTF-8"),
    ],
)
def test_no_text_is_too_strange_to_be_told(text: str) -> None:
    assert line("event", reason=text)["reason"] == text


def test_a_number_that_is_too_large_for_a_register_is_told_whole() -> None:
    assert line("event", number=2**70)["number"] == 2**70


def test_an_exception_has_its_traceback() -> None:
    try:
        int("caf\udce9.jpg")
    except ValueError:
        record = logging.LogRecord("visage", logging.ERROR, "", 0, "failed", None, sys.exc_info())

    traceback = json.loads(JsonFormatter().format(record))["traceback"]

    assert "ValueError" in traceback
    assert "test_log_format" in traceback
