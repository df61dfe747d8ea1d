"""Browsers as callers: which web pages may call the service, and by which host names.

A browser on the operator's machine or network also shows pages of strangers. Without these checks, such a page could
send photos and batches (a plain form needs no permission), or reach the service under a name of its own whose address
it changes to the service's (DNS rebinding), and read the responses. Clients other than browsers need no extra header.
"""

from functools import lru_cache
from ipaddress import ip_address

from flask import Flask, Response
from flask_cors import CORS

from visage.errors import CrossSite, HostNotAllowed
from visage.settings import Settings
from visage.web.photo_request import this_request

# Headers of requests and responses that scripts of allowed origins may set and read.
_REQUEST_HEADERS = ["Authorization", "Content-Type", "Last-Event-ID", "X-Request-ID"]
_RESPONSE_HEADERS = ["Location", "Retry-After", "X-Face-Count", "X-Image-Depth", "X-Original-Format", "X-Request-ID"]

# Methods that change nothing (RFC 9110, 9.2.1). Browsers keep their responses from pages of other origins.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Values of Sec-Fetch-Site for the service's own pages, and for what the user typed or opened (W3C Fetch Metadata).
_OWN_SITES = frozenset({"same-origin", "none"})


def init_app(app: Flask, settings: Settings) -> None:
    """Check the host and the page of every request of `app`, and send CORS headers to the allowed origins."""

    @app.before_request
    def check_caller() -> None:
        request = this_request()
        host = request.environ.get("HTTP_HOST", "")
        check_host(host, settings)
        if request.method not in _SAFE_METHODS:
            site = request.headers.get("Sec-Fetch-Site", "")
            check_page(host, request.headers.get("Origin", ""), site, settings)

    if not settings.cors_origins:
        return
    CORS(
        app,
        origins=list(settings.cors_origins),
        methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=_REQUEST_HEADERS,
        expose_headers=_RESPONSE_HEADERS,
        send_wildcard=True,
        # Clients that send no origin need no CORS headers, but caches must know that others get them.
        always_send=False,
        vary_header=False,
    )

    @app.after_request
    def vary_by_origin(response: Response) -> Response:
        response.vary.add("Origin")
        return response


def check_host(host: str, settings: Settings) -> None:
    """Check the header `host` of a request; an empty one is allowed, because every browser sends it.

    Raises:
        HostNotAllowed: the name is not one of the service's.
    """
    if not _is_allowed(host, settings.allowed_hosts, settings.listens_on_loopback):
        raise HostNotAllowed("This service has another host name; its operator can add names to VISAGE_ALLOWED_HOSTS.")


def check_page(host: str, origin: str, site: str, settings: Settings) -> None:
    """Check which page sent a request that may change something.

    Args:
        host: The header Host.
        origin: The header Origin; browsers send it with every such request, other clients do not.
        site: The header Sec-Fetch-Site; browsers send it to `localhost` and by HTTPS.
        settings: The service's, with the origins that CORS allows.

    Raises:
        CrossSite: a page of another origin sent the request, and CORS does not allow the origin.
    """
    is_own = site in _OWN_SITES if site else not origin or origin.partition("://")[2].lower() == host.lower()
    if not is_own and not _allows_origin(origin, settings):
        raise CrossSite(
            "A web page of another origin may not send this request; the operator can allow its origin in "
            "VISAGE_CORS_ORIGINS."
        )


def cors_headers(origin: str, settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return the headers that flask-cors would add to the response of a request with this `origin`."""
    if not settings.cors_origins:
        return ()
    vary = ("Vary", "Origin")
    if not origin or not _allows_origin(origin, settings):
        return (vary,)
    allowed = "*" if settings.cors_origins == ("*",) else origin
    exposed = ", ".join(_RESPONSE_HEADERS)
    return ("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", exposed), vary


def _allows_origin(origin: str, settings: Settings) -> bool:
    allowed = settings.cors_origins
    return allowed == ("*",) or origin.lower() in {each.lower() for each in allowed}


# Clients send few different hosts.
@lru_cache(maxsize=64)
def _is_allowed(host: str, allowed: tuple[str, ...], only_local: bool) -> bool:
    name = _without_port(host).lower().removesuffix(".")
    if name in {"", "localhost", *allowed} or "*" in allowed or not (allowed or only_local):
        return True
    # DNS rebinding needs a name, and balancers check their instances by address.
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdecimal() and (":" not in name or name.endswith("]")) else host
