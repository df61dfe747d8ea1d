"""The body of a request: a complete one is used as it is, and no more than the limit is read."""

from io import BytesIO
from typing import Any

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from visage.web.photo_request import PhotoRequest


def request_of(body: bytes, length: int | None, limit: int) -> PhotoRequest:
    environment: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "here",
        "SERVER_PORT": "80",
    }
    if length is not None:
        environment["CONTENT_LENGTH"] = str(length)
    request = PhotoRequest(environment)
    request.max_content_length = limit
    return request


def test_a_complete_body_is_used_as_it_is() -> None:
    request = request_of(b"photo", length=5, limit=5)

    assert request.stream is request.environ["wsgi.input"]
    assert request.stream.read() == b"photo"


def test_a_body_with_a_length_over_the_limit_is_not_read() -> None:
    with pytest.raises(RequestEntityTooLarge):
        _ = request_of(b"photo", length=5, limit=4).stream


@pytest.mark.parametrize("length", [None, 3, 9], ids=["no length", "shorter than the body", "longer than the body"])
def test_a_body_that_does_not_match_its_length_is_read_up_to_the_limit(length: int | None) -> None:
    request = request_of(b"a photo that goes on", length, limit=10)

    assert request.stream is not request.environ["wsgi.input"]
    assert len(request.stream.read()) <= 10
