"""The request class, and short ways to the current request and to the engine."""

import time
from io import SEEK_END
from typing import IO, TYPE_CHECKING, BinaryIO

from flask import Request, current_app, request
from werkzeug.utils import cached_property

from visage.runtime.engine import Engine
from visage.web.form_parser import PhotoFormParser

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment


class PhotoRequest(Request):
    """A request whose uploads stay in memory."""

    form_data_parser_class = PhotoFormParser
    # A photo and its parameters are about a dozen parts. The size is Flask's default, in bytes. Flask would look up
    # both in its configuration for every request.
    max_form_parts = 32
    max_form_memory_size = 500_000

    def __init__(self, environ: "WSGIEnvironment", populate_request: bool = True, shallow: bool = False) -> None:
        super().__init__(environ, populate_request, shallow)
        # `time.perf_counter()` when the request was complete.
        self.started = time.perf_counter()

    @property
    def route(self) -> str | None:
        """The rule that matched, such as `/batches/<batch_id>`; None for an unknown path.

        Logs and metrics use it in place of the path, which is the client's own text.
        """
        return self.url_rule.rule if self.url_rule else None

    def close(self) -> None:
        """Do nothing: uploads in memory need no closing, and Flask would parse the form to look for them."""

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body. One that the server has received completely is used as it is; werkzeug's stream would copy it."""
        length = self.content_length or 0
        body = received_body(self)
        if body is None or length > (self.max_content_length or 0) or length != _size(body):
            return super().stream
        return body


def received_body(request: Request) -> BinaryIO | None:
    """Return the body if the server has received it completely, so that it is seekable; None if it is a stream."""
    body: BinaryIO = request.environ["wsgi.input"]
    # Flask's development server passes a stream on the socket, which has no such method.
    return body if hasattr(body, "seekable") and body.seekable() else None


def this_request() -> PhotoRequest:
    """Return the current request; every access to Flask's `request` proxy would look it up again."""
    found: PhotoRequest = request._get_current_object()  # type: ignore[attr-defined]
    return found


def this_engine() -> Engine:
    """Return the engine of the current app."""
    engine: Engine = current_app.extensions["engine"]
    return engine


def _size(body: IO[bytes]) -> int:
    position = body.tell()
    size = body.seek(0, SEEK_END)
    body.seek(position)
    return size
