"""Every event is one line of ASCII JSON, whatever its fields contain."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT
from visage.log_format import JsonFormatter
from visage.logs import request_id


def line(message: str, **fields: object) -> dict[str, object]:
    record = logging.LogRecord("visage", logging.INFO, "", 0, message, None, None)
    record.fields = fields
    written = JsonFormatter().format(record)
    # ASCII is safe in every encoding, and has no other line ends.
    assert written.isascii()
    assert "\n" not in written
    event: dict[str, object] = json.loads(written)
    return event


def test_fields_and_the_request_id_are_beside_the_event() -> None:
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
        pytest.param("two\nlines", id="a line feed"),
        pytest.param("Grüße", id="non-ASCII letters"),
        pytest.param("two\u2028lines", id="a Unicode line separator"),
        pytest.param("caf\udce9.jpg", id="a file name that is invalid UTF-8"),
    ],
)
def test_any_text_can_be_logged(text: str) -> None:
    assert line("event", reason=text)["reason"] == text


def test_an_integer_beyond_64_bits_is_logged_exactly() -> None:
    assert line("event", number=2**70)["number"] == 2**70


def test_an_exception_is_logged_with_its_traceback() -> None:
    try:
        int("caf\udce9.jpg")
    except ValueError:
        record = logging.LogRecord("visage", logging.ERROR, "", 0, "failed", None, sys.exc_info())

    traceback = json.loads(JsonFormatter().format(record))["traceback"]

    assert "ValueError" in traceback
    assert "test_log_format" in traceback


def in_a_process(code: str) -> list[dict[str, Any]]:
    """Run `code` in a process with our log, and return its events; every line of its standard error must be one."""
    start = (
        "import sys, threading, warnings; from visage.log_format import configure_logging; configure_logging('info')"
    )
    command = [sys.executable, "-c", f"{start}\n{code}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    ("code", "event", "contained"),
    [
        ("warnings.warn('an old name')", "an old name", None),
        ("import logging; logging.getLogger('library').error('broken')", "broken", None),
        ("1 / 0", "uncaught_exception", "ZeroDivisionError"),
        ("threading.Thread(target=lambda: 1 / 0).start()", "uncaught_exception", "ZeroDivisionError"),
        ("class A:\n    def __del__(self): 1 / 0\nA()", "uncaught_exception", "ZeroDivisionError"),
    ],
    ids=["a warning", "a library's logger", "an exception", "an exception in a thread", "an exception in a finalizer"],
)
def test_what_python_and_libraries_print_is_an_event(code: str, event: str, contained: str | None) -> None:
    (found,) = in_a_process(code)

    assert event in found["event"]
    assert (contained or "") in found.get("traceback", "")
