"""A body that stops arriving is rejected after the time limit."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bad_input.requests_in_bytes import (
    CHUNKED,
    FORM,
    PNG,
    RAW,
    exchange,
    photo_part,
)
from tests.support.service import Service, serving


@pytest.fixture(scope="module")
def impatient(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits one second for a body."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_BODY_SECONDS="1") as service:
        yield service


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(RAW + b"Content-Length: 100000\r\n\r\n" + PNG, id="raw body"),
        pytest.param(FORM + b"Content-Length: 100000\r\n\r\n" + photo_part(PNG), id="form"),
        pytest.param(CHUNKED + b"7\r\n--fence\r\n", id="chunked form"),
    ],
)
def test_a_body_that_stalls_is_timed_out(impatient: Service, request_bytes: bytes) -> None:
    started = time.monotonic()

    status, body = exchange(impatient, request_bytes, shut_down=False)

    assert (status, json.loads(body)["code"]) == (408, "body_timeout")
    # The default is ten seconds.
    assert 1 <= time.monotonic() - started < 9
