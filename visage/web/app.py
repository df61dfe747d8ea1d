"""The app factory: Flask around an engine."""

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter

from visage.runtime.engine import Engine
from visage.settings import Settings
from visage.web import compression, error_handlers, metrics, origins, request_logging, routes, security, tracing
from visage.web.photo_request import PhotoRequest
from visage.web.responses import ServiceResponse


class NoSessions(SessionInterface):
    """An interface that reads and writes no session cookie."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002
        return self._none


class Service(Flask):
    """Flask without work per request that this service does not need; outside the nets Flask takes most of the time."""

    request_class = PhotoRequest
    response_class = ServiceResponse
    session_interface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return `func`: no view is a coroutine. Flask would inspect every function in every request."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match the path, whatever the host: Flask would parse the host twice in every request."""
        if request is None:
            return super().create_url_adapter(None)
        path = request.environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        return MapAdapter(self.url_map, "", f"{request.root_path}/", "", "http", path, request.method)


def create_app(settings: Settings | None = None, *, warm: bool = True) -> Flask:
    """Return the app with its nets loaded; `settings` come from the environment by default.

    With `warm`, the nets are warmed up here. A master process that only forks workers leaves that to them.

    Raises:
        SetupError: a setting or the model pack is invalid.
    """
    settings = settings or Settings.from_environment()
    app = Service(__name__)
    # Double slashes are 404, not a redirect with an HTML body.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body_bytes)
    engine = Engine(settings)
    if warm:
        engine.warm_up()
        metrics.set_engine_info(engine)
    else:
        engine.check()
    app.extensions["engine"] = engine
    # Set when the worker stops, for responses that would take long.
    app.extensions["stopping"] = threading.Event()
    # True while the worker handles its self-test request, which is neither logged nor counted.
    app.extensions["self_test"] = False
    request_logging.init_app(app, log_addresses=settings.log_addresses)
    metrics.init_app(app)
    tracing.init_app(app)
    compression.init_app(app)
    origins.init_app(app, settings)
    security.init_app(app, settings)
    error_handlers.init_app(app)
    routes.init_app(app, settings)
    return app
