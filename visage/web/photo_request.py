"""A request as Flask sees it: its uploads stay in memory, and it carries what became of it."""

from io import BytesIO
from typing import IO

from flask import Request, current_app, request
from werkzeug.utils import cached_property

from visage.anonymize.results import Anonymized
from visage.enhance.results import Enhanced
from visage.faces.results import Analysis
from visage.runtime.engine import Engine
from visage.web.form_parser import PhotoFormParser


class PhotoRequest(Request):
    """A request whose uploads stay in memory, and what becomes of it."""

    form_data_parser_class = PhotoFormParser
    # A photo and its parameters are a dozen; a field has what Flask allows. Flask would look both up for every request.
    max_form_parts = 32
    max_form_memory_size = 500_000

    # `time.perf_counter()` of when it was whole; what was done for it; the code of the error that it was refused with.
    started = 0.0
    worked: Analysis | Anonymized | Enhanced | None = None
    refused: str | None = None

    def close(self) -> None:
        """Nothing: uploads in memory need no closing, and Flask would look for them."""

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body. One that is here already needs no watch over how much is read, by which it is copied twice."""
        body, length = self.environ["wsgi.input"], self.content_length or 0
        here = isinstance(body, BytesIO) and body.getbuffer().nbytes == length
        return body if here and length <= (self.max_content_length or 0) else super().stream


def this_request() -> PhotoRequest:
    """The request that this thread answers. Each look at Flask's `request` would search for it anew."""
    found: PhotoRequest = request._get_current_object()  # type: ignore[attr-defined]
    return found


def this_engine() -> Engine:
    """The engine of the app that answers."""
    engine: Engine = current_app.extensions["engine"]
    return engine
