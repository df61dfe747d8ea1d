"""A small WSGI app, for tests of the server."""

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

from werkzeug.routing import Map, Rule

from visage.web.request_kinds import Kind, of_kind


@of_kind(Kind.PHOTO)
def predict() -> None:
    """A view, which only its kind is read of."""


class App:
    """A WSGI app with the attributes that the server reads of Flask's."""

    def __init__(self) -> None:
        self.url_map = Map(
            [Rule("/predict", endpoint="predict", methods=["POST"]), Rule("/healthz", endpoint="healthz")]
        )
        self.view_functions = {"predict": predict, "healthz": lambda: None}
        self.admission = SimpleNamespace(full=False)
        engine = SimpleNamespace(
            admission=self.admission, cache=None, settings=SimpleNamespace(cors_origins=(), queue=0, slots=1)
        )
        self.extensions = {"engine": engine}
        self.body = b"answer"
        self.may_answer = Event()
        self.may_answer.set()
        self.failure: Exception | None = None
        self.late_failure: Exception | None = None
        self.calls = 0

    def __call__(self, _environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.calls += 1
        self.may_answer.wait(60)
        if self.failure:
            raise self.failure
        start_response("200 OK", [("Content-Length", str(len(self.body)))])
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        yield self.body
        if self.late_failure:
            raise self.late_failure
