"""The app factory: Flask, set up around an engine."""

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from flask_cors import CORS
from werkzeug.routing import MapAdapter

from visage.runtime.engine import Engine
from visage.settings import Settings
from visage.web import error_handlers, metrics, request_logging, routes, security
from visage.web.photo_request import PhotoRequest


class NoSessions(SessionInterface):
    """Nobody is remembered from one request to the next."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        return self._none


class Service(Flask):
    """Flask without what nothing here needs: of what a photo takes beside its nets, most is such work."""

    request_class = PhotoRequest
    session_interface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of the functions is a coroutine; Flask would look each of them over for every request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Find the address, whatever the host is called that it is at: Flask would read its name twice."""
        if request is None:
            return super().create_url_adapter(None)
        path = request.environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        return MapAdapter(self.url_map, "", f"{request.root_path}/", "", "http", path, request.method)


def create_app(settings: Settings | None = None, *, warm: bool = True) -> Flask:
    """The app, with its nets loaded and, if `warm`, warmed up; a test passes settings of its own.

    A process that only forks those that serve needs no warm nets: theirs are warmed up after the fork.

    Raises:
        SetupError: a setting or the model pack cannot be used.
    """
    settings = settings or Settings.from_environment()
    app = Service(__name__)
    # Two slashes are another address, and not a redirection, which would be HTML.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body_bytes)
    engine = Engine(settings)
    if warm:
        engine.warm_up()
        metrics.introduce(engine)
    else:
        engine.check()
    app.extensions["engine"] = engine
    # Set when this process is to end, for answers that would go on.
    app.extensions["stopping"] = threading.Event()
    # Whether what is answered counts: a worker's first photo is its own.
    app.extensions["self_test"] = False
    request_logging.install(app, log_addresses=settings.log_addresses)
    metrics.install(app)
    security.install(app, settings)
    error_handlers.install(app)
    routes.install(app, settings)
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", request_logging.REQUEST_ID],
            expose_headers=[request_logging.REQUEST_ID, "X-Face-Count", "Retry-After", "Location"],
        )
    return app
