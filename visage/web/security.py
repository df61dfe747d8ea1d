"""The API token, and the security headers of every response."""

import hmac

from flask import Flask, Response, abort, request

from visage.errors import Unauthorized
from visage.settings import Settings

# The page loads scripts and styles from this service only, and shows photos that the visitor chose (blob:).
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_METRICS = "operations.metrics_text"

# Endpoints that the separate address for metrics serves too.
_HEALTH = ("operations.healthz", "operations.readyz")

# Endpoints without a token: they process no photos and reveal nothing about them. None is an unknown path.
_PUBLIC = (None, *_HEALTH, "pages.openapi", "pages.page", "pages.docs", "static")


def init_app(app: Flask, settings: Settings) -> None:
    """Require the token, if there is one, for all routes of `app` but the public ones; set the security headers."""

    def separate_metrics() -> None:
        at_metrics_address = request.environ.get("SERVER_PORT") == settings.metrics.rpartition(":")[2]
        if (request.endpoint == _METRICS) != at_metrics_address and request.endpoint not in _HEALTH:
            abort(404)

    def require_token() -> None:
        if request.endpoint not in _PUBLIC and request.method != "OPTIONS":
            check_token(request.headers.get("Authorization", ""), settings.api_token)

    if settings.metrics != "open":
        app.before_request(separate_metrics)
    if settings.api_token:
        app.before_request(require_token)

    @app.after_request
    def set_security_headers(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if (response.content_type or "").startswith("text/html"):
            response.headers["Content-Security-Policy"] = _PAGE_POLICY
            response.headers["Referrer-Policy"] = "no-referrer"
        return response


def check_token(authorization: str, api_token: str) -> None:
    """Check the header `authorization` for the token; an empty `api_token` allows everybody.

    Raises:
        Unauthorized: the token is missing or wrong.
    """
    scheme, _, token = authorization.partition(" ")
    if api_token and (
        scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), api_token.encode())
    ):
        raise Unauthorized("This service requires a token; send it as `Authorization: Bearer TOKEN`.")
