"""Who may call, and what every answer tells browsers and caches."""

import hmac

from flask import Flask, Response, abort, request

from visage.errors import Unauthorized
from visage.settings import Settings

# The page runs its own scripts, asks its own service and shows photos that the visitor chose (blob:); nothing else may
# run or load, from anywhere.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_METRICS = "operations.metrics_text"

# What an address that is for the metrics answers beside them.
_HEALTH = ("operations.healthz", "operations.readyz")

# What needs no token: nothing that works or tells of work. None is an address where there is nothing.
_OPEN = (None, *_HEALTH, "pages.openapi", "pages.page", "pages.docs", "static")


def install(app: Flask, settings: Settings) -> None:
    """Guard the routes of `app` that work with a token, if there is one, and set the headers of every answer."""

    def keep_metrics_apart() -> None:
        at_metrics_address = request.environ.get("SERVER_PORT") == settings.metrics.rpartition(":")[2]
        if (request.endpoint == _METRICS) != at_metrics_address and request.endpoint not in _HEALTH:
            abort(404)

    def keep_strangers_out() -> None:
        if request.endpoint not in _OPEN and request.method != "OPTIONS":
            check_token(request.headers.get("Authorization", ""), settings.api_token)

    if settings.metrics != "open":
        app.before_request(keep_metrics_apart)
    if settings.api_token:
        app.before_request(keep_strangers_out)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if (response.content_type or "").startswith("text/html"):
            response.headers["Content-Security-Policy"] = _PAGE_POLICY
            response.headers["Referrer-Policy"] = "no-referrer"
        return response


def check_token(authorization: str, api_token: str) -> None:
    """Raise Unauthorized unless the header `authorization` has the token; an empty `api_token` asks for none."""
    scheme, _, token = authorization.partition(" ")
    if api_token and (
        scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_token.encode())
    ):
        raise Unauthorized("This service asks for a token; send it as `Authorization: Bearer TOKEN`.")
