"""Compress the pages and their files: people wait for them, and text shrinks to a third."""

import gzip
from functools import lru_cache

from flask import Flask, Response, request

_ENDPOINTS = frozenset({"static", "pages.page", "pages.docs", "pages.openapi"})

_TEXT = frozenset({"text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"})

# Its examples name the host that the client asked for. Clients that vary it must not displace the page's files below.
_VARYING = "pages.docs"

# Contents whose compressed form is kept: the files of the page, and the page in each language.
_KEPT = 64


def init_app(app: Flask) -> None:
    """Compress the responses of `app` that are pages or their text files, for clients that accept gzip."""

    @app.after_request
    def compress(response: Response) -> Response:
        if request.endpoint not in _ENDPOINTS or response.mimetype not in _TEXT:
            return response
        response.vary.add("Accept-Encoding")
        # "*" would match too, but no browser sends it alone.
        if response.status_code != 200 or request.accept_encodings["gzip"] <= 0:
            return response
        response.direct_passthrough = False
        shrink = _compress if request.endpoint == _VARYING else _compress_once
        response.set_data(shrink(response.get_data()))
        response.content_encoding = "gzip"
        # Strong tags tell the bytes apart, and these differ from those of the file.
        tag, _ = response.get_etag()
        if tag:
            response.set_etag(tag, weak=True)
        return response


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@lru_cache(_KEPT)
def _compress_once(content: bytes) -> bytes:
    return _compress(content)
