"""The photo in a request: a field of a form, base64 in JSON or the raw body, of limited size, never in a file."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from visage.errors import (
    BadParameter,
    BodyTooLarge,
    EmptyImage,
    NoImage,
    RequestError,
    UndecodableImage,
    UnsupportedType,
)
from visage.images.headers import is_image
from visage.web.form_parser import FORM_TYPES, PHOTO_FIELDS

HOW_TO_SEND = "Send the photo as the multipart field 'image', its bytes as the body, or JSON with 'image' as base64."

# Types of bodies of which the client knows no more than that they are bytes.
_UNNAMED_TYPES = frozenset({"application/octet-stream", "binary/octet-stream", "*/*"})

# The type that curl's -d and --data-binary declare. Of a file, -d removes line breaks and zero bytes (curl's manual);
# every JPEG and PNG has some, in the lengths of its parts.
_CURL_TYPE = "application/x-www-form-urlencoded"
_STRIPPED = re.compile(rb"(?:\xff\xd8\xff|\x89PNG)[^\0\r\n]{64,}")
_WITH_CURL = "send the photo with --data-binary @photo.jpg or -F image=@photo.jpg."

# Field names that an error repeats, and their characters.
_MAX_NAMES, _MAX_NAME = 5, 40


def read_photo(request: Request) -> bytes:
    """Return the bytes of the photo. Afterwards `request.form` holds the other fields.

    Raises:
        NoImage, EmptyImage: the request has no photo, or an empty one.
        BadParameter: the form has a file in a field that is not the photo's.
        BodyTooLarge: the body is larger than the app allows.
        UnsupportedType: the body is compressed.
        UndecodableImage: the body is a photo from which curl has removed bytes.
        RequestError: the body does not match its headers.
    """
    reject_compressed(request)
    if request.mimetype in FORM_TYPES:
        with body_errors(request):
            fields = [request.files.getlist(name) for name in PHOTO_FIELDS]
        return _read_field(request, [photo for field in fields for photo in field])
    return _read_raw_body(request)


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
    except (HTTPException, OSError, ValueError, EOFError) as error:
        raise RequestError("The body does not match its headers; send the request again.") from error


def _read_field(request: Request, photos: list[FileStorage]) -> bytes:
    if not photos:
        raise NoImage(_missing_photo(request))
    if len(photos) > 1:
        raise RequestError(f"The request has {len(photos)} photos; send one photo per request.")
    if other := [name for name in request.files if name not in PHOTO_FIELDS]:
        raise BadParameter(
            f"The field {other[0][:_MAX_NAME]!r} is a file; send one file, the photo as the field 'image', and "
            "parameters as text."
        )
    content = photos[0].stream.read()
    if not content:
        raise EmptyImage(f"The field {photos[0].name!r} is empty; choose a photo for it.")
    return content


def _missing_photo(request: Request) -> str:
    """Return the sentence for a form or JSON without a photo: what came in its place."""
    for name in PHOTO_FIELDS:
        if name in request.form:
            return (
                f"The field {name!r} has text in place of a photo; send the photo as a file, with curl as "
                f"-F {name}=@photo.jpg, with the @."
            )
    names = [*request.files, *request.form]
    if not names:
        return HOW_TO_SEND
    listed = ", ".join(repr(name[:_MAX_NAME]) for name in names[:_MAX_NAMES])
    return f"The request has no field 'image', but {listed}; send the photo as the field 'image'."


def _read_raw_body(request: Request) -> bytes:
    """Return the body if its type or its first bytes are those of a photo: the type may be missing or wrong."""
    with body_errors(request):
        photo = request.get_data(cache=False)
    is_declared = request.mimetype.startswith("image/") or request.mimetype in _UNNAMED_TYPES
    if is_declared and not photo:
        raise EmptyImage("The body is empty; send the bytes of a photo.")
    if _STRIPPED.fullmatch(photo):
        raise UndecodableImage(f"The photo has no line breaks and zero bytes, which curl's -d removes; {_WITH_CURL}")
    if not is_declared and not is_image(photo):
        raise NoImage(
            f"The body is no photo, or one that curl's -d has changed; {_WITH_CURL}"
            if request.mimetype == _CURL_TYPE
            else HOW_TO_SEND
        )
    return photo


def _check_complete(request: Request) -> None:
    """Raise EOFError for a body that ends before its length: servers pass it on as if it were complete."""
    if request.stream.tell() < (request.content_length or 0):
        raise EOFError
