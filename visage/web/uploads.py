"""The photo in a request: a multipart field or the raw body, of limited size, never in a file."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from visage.errors import (
    BodyTooLarge,
    EmptyImage,
    LengthRequired,
    NoImage,
    RequestError,
    UnsupportedType,
)

# Names of the multipart field with the photo.
FIELDS = ("image", "file")

HOW_TO_SEND = "Send the photo as the multipart field 'image', or its bytes as the body with the type image/jpeg."


def read_photo(request: Request) -> bytes:
    """Return the bytes of the photo. Afterwards `request.form` holds the other fields.

    Raises:
        NoImage, EmptyImage: the request has no photo, or an empty one.
        BodyTooLarge: the body is larger than the app allows.
        LengthRequired: a raw body has no Content-Length.
        UnsupportedType: the body is compressed.
        RequestError: the body does not match its headers.
    """
    reject_compressed(request)
    if request.mimetype == "multipart/form-data":
        with body_errors(request):
            fields = [request.files.getlist(name) for name in FIELDS]
        return _read_field([photo for field in fields for photo in field])
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return _read_raw_body(request)
    raise NoImage(HOW_TO_SEND)


def reject_compressed(request: Request) -> None:
    """Raise UnsupportedType for a body with a Content-Encoding."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedType("Compressed bodies are not supported; send the body without Content-Encoding.")


@contextmanager
def body_errors(request: Request) -> Iterator[None]:
    """Convert every error of a block that reads the body, and check that the body is complete.

    Raises:
        BodyTooLarge: the body, a field or the number of fields is too large.
        RequestError: the body does not match its headers.
    """
    try:
        yield
        _check_complete(request)
    except RequestEntityTooLarge:
        raise BodyTooLarge(
            f"The body has more than {request.max_content_length:,} bytes, a field that is too long, or too many "
            "fields; send one smaller photo, with nothing but parameters."
        ) from None
    except (HTTPException, ParseException, OSError, ValueError, EOFError) as error:
        raise RequestError("The body does not match its headers; send the request again.") from error


def _read_field(photos: list[FileStorage]) -> bytes:
    if not photos:
        raise NoImage(HOW_TO_SEND)
    if len(photos) > 1:
        raise RequestError(f"The request has {len(photos)} photos; send one photo per request.")
    content = photos[0].stream.read()
    if not content:
        raise EmptyImage(f"The field {photos[0].name!r} is empty; choose a photo for it.")
    return content


def _read_raw_body(request: Request) -> bytes:
    if request.content_length is None:
        raise LengthRequired("A raw body needs a Content-Length header; send one, or use a multipart form.")
    with body_errors(request):
        photo = request.get_data(cache=False)
    if not photo:
        raise EmptyImage("The body is empty; send the bytes of a photo.")
    return photo


def _check_complete(request: Request) -> None:
    """Raise EOFError for a body that ends before its length: servers pass it on as if it were complete."""
    if request.stream.tell() < (request.content_length or 0):
        raise EOFError
