"""What a request costs, by its route. The server asks this before Flask sees the request."""

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import TypeVar

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

_View = TypeVar("_View", bound=Callable[..., object])


class Kind(Enum):
    """The kinds of requests."""

    # It needs a slot.
    PHOTO = "photo"
    # Its body goes to the disk.
    BATCH = "batch"
    OTHER = "other"


def of_kind(kind: Kind) -> Callable[[_View], _View]:
    """Decorate a view: its requests are of this kind. Put it below the route's decorator."""

    def decorate(view: _View) -> _View:
        view.kind = kind  # type: ignore[attr-defined]
        return view

    return decorate


def request_kinds(app: Flask) -> Callable[[str, str], Kind]:
    """Return a function that tells the kind from a method and a path (decoded, in Latin-1 as WSGI's PATH_INFO)."""
    adapter = app.url_map.bind("")

    # Clients send the same few paths over and over, besides those with the IDs of batches.
    @lru_cache(maxsize=256)
    def kind(method: str, path: str) -> Kind:
        try:
            endpoint, _ = adapter.match(path.encode("latin-1").decode(errors="replace"), method)
        except (HTTPException, RequestRedirect):
            return Kind.OTHER
        # Flask answers OPTIONS itself, at the endpoint of the other methods.
        found: Kind = Kind.OTHER if method == "OPTIONS" else getattr(app.view_functions[endpoint], "kind", Kind.OTHER)
        return found

    return kind
