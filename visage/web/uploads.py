"""The photo out of a request: multipart or raw, of limited size, never through a file."""

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

FIELDS = ("image", "file")

HOW_TO_SEND = "Send the photo as the multipart field 'image', or its bytes as the body with the type image/jpeg."


def read_photo(request: Request) -> bytes:
    """The bytes of the photo; afterwards `request.form` holds the other fields.

    Raises:
        NoImage, EmptyImage: no photo was sent, or one without bytes.
        BodyTooLarge: it is larger than the app's limit.
        LengthRequired: a raw body does not say its length.
        UnsupportedType: the body is compressed.
        RequestError: it is not what its own headers say.
    """
    refuse_compressed(request)
    if request.mimetype == "multipart/form-data":
        with sound(request):
            fields = [request.files.getlist(name) for name in FIELDS]
        return _field_content([each for field in fields for each in field])
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        if request.content_length is None:
            raise LengthRequired("A raw body needs a Content-Length header; send one, or use a multipart form.")
        with sound(request):
            photo = request.get_data(cache=False)
        if not photo:
            raise EmptyImage("The body is empty; send the bytes of a photo.")
        return photo
    raise NoImage(HOW_TO_SEND)


def refuse_compressed(request: Request) -> None:
    """Raise UnsupportedType for a body that would have to be unpacked first."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedType("A compressed body is not accepted; send it without Content-Encoding.")


def _field_content(photos: list[FileStorage]) -> bytes:
    if not photos:
        raise NoImage(HOW_TO_SEND)
    if len(photos) > 1:
        raise RequestError(f"One photo a request: this one has {len(photos)}. Send them one by one.")
    content = photos[0].stream.read()
    if not content:
        raise EmptyImage(f"The field {photos[0].name!r} is empty; choose a photo for it.")
    return content


@contextmanager
def sound(request: Request) -> Iterator[None]:
    """Read a body in here: what fails is told in a sentence."""
    try:
        yield
        _must_be_complete(request)
    except RequestEntityTooLarge:
        raise BodyTooLarge(
            f"The body has more than {request.max_content_length:,} bytes, too long a field or too many fields; "
            "send one photo of fewer bytes, with nothing but parameters."
        ) from None
    except (HTTPException, ParseException, OSError, ValueError, EOFError) as error:
        raise RequestError("The body does not match its headers; send the request again.") from error


def _must_be_complete(request: Request) -> None:
    """Where the connection ends before the body, servers pass on what there was as if it were all."""
    if request.stream.tell() < (request.content_length or 0):
        raise EOFError
