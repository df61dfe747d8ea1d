"""Requests that never reach the app get complete error responses, which pages of allowed origins can read."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import FileIO

import pytest

from visage.errors import (
    BodyTimeout,
    BodyTooLarge,
    CrossSite,
    HostNotAllowed,
    QueueFull,
    RequestError,
    StorageFull,
    Unauthorized,
    VisageError,
)
from visage.server.early_rejection import reject
from visage.server.http import upload_limits
from visage.server.http.request import RequestHead
from visage.server.http.upload_limits import UploadLimits
from visage.settings import Settings
from visage.web.request_kinds import Kind

APP = "https://app.example"
SETTINGS = Settings(cors_origins=(APP,))

ERRORS = (
    RequestError("It is invalid."),
    Unauthorized("It needs a token."),
    CrossSite("It is from another page."),
    BodyTimeout("It is late."),
    BodyTooLarge("It is too large."),
    HostNotAllowed("It is for another host."),
    QueueFull("It is too much."),
    StorageFull(),
    VisageError("It failed."),
)


def parsed(response: bytes) -> tuple[str, dict[str, str], dict[str, str]]:
    """The status line, the headers and the body."""
    head, _, body = response.decode().partition("\r\n\r\n")
    line, *headers = head.split("\r\n")
    return line, dict(header.split(": ", 1) for header in headers), json.loads(body)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.status))
def test_every_error_has_its_status_its_code_and_cors_headers(error: VisageError) -> None:
    head = RequestHead("POST", b"/predict", "1.1", (("origin", APP),))

    line, headers, body = parsed(reject(error, head, SETTINGS))

    assert line.startswith(f"HTTP/1.1 {error.status} ")
    assert body == {"error": str(error), "code": error.code}
    assert headers["Access-Control-Allow-Origin"] == APP
    assert headers["Vary"] == "Origin"


def test_a_rejection_tells_the_time() -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    _, headers, _ = parsed(reject(QueueFull("It is too much."), RequestHead("POST", b"/predict", "1.1", ()), SETTINGS))

    assert before <= parsedate_to_datetime(headers["Date"]) <= datetime.now(UTC)


def test_a_batch_that_finds_the_disk_full_while_it_arrives_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_limits, "open_temporary_file", lambda _settings: FileIO("/dev/full", "r+"))
    head = RequestHead("POST", b"/batches", "1.1", (("origin", APP), ("content-length", "1000")))
    body = UploadLimits(SETTINGS).open_body(head, Kind.BATCH)

    with pytest.raises(StorageFull) as caught:
        body.write(bytes(1000))
    body.close()

    line, headers, _ = parsed(reject(caught.value, head, SETTINGS))
    assert line == "HTTP/1.1 507 Insufficient Storage"
    assert headers["Access-Control-Allow-Origin"] == APP
