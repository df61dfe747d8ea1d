"""How much of a body is read: all that is here, and never more than the service takes."""

from io import BytesIO
from typing import Any

import pytest
from werkzeug.exceptions import RequestEntityTooLarge

from visage.web.photo_request import PhotoRequest


def request_of(body: bytes, length: int | None, most: int) -> PhotoRequest:
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
    request.max_content_length = most
    return request


def test_a_body_that_is_here_is_read_as_it_is() -> None:
    request = request_of(b"photo", length=5, most=5)

    assert request.stream is request.environ["wsgi.input"]
    assert request.stream.read() == b"photo"


def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    with pytest.raises(RequestEntityTooLarge):
        _ = request_of(b"photo", length=5, most=4).stream


@pytest.mark.parametrize("length", [None, 3, 9], ids=["no length", "less than there is", "more than there is"])
def test_a_body_that_is_not_what_it_says_is_read_no_further_than_is_taken(length: int | None) -> None:
    request = request_of(b"a photo that goes on", length, most=10)

    assert request.stream is not request.environ["wsgi.input"]
    assert len(request.stream.read()) <= 10
