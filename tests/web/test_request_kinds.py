"""The server knows the kind of a request from Flask's own routes."""

import pytest
from flask import Flask

from visage.web.request_kinds import Kind, request_kinds


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/predict", Kind.PHOTO),
        ("POST", "/analyze", Kind.PHOTO),
        ("POST", "/anonymize", Kind.PHOTO),
        ("POST", "/enhance", Kind.PHOTO),
        ("POST", "/batches", Kind.BATCH),
        ("GET", "/predict", Kind.OTHER),
        ("OPTIONS", "/predict", Kind.OTHER),
        ("GET", "/batches/123", Kind.OTHER),
        ("POST", "/predict/", Kind.OTHER),
        ("POST", "//predict", Kind.PHOTO),
        ("GET", "/healthz", Kind.OTHER),
        ("POST", "/nowhere", Kind.OTHER),
        ("POST", "/\xff", Kind.OTHER),
        ("POST", "*", Kind.OTHER),
        ("POST", "", Kind.OTHER),
    ],
)
def test_the_kind_follows_from_the_route(app: Flask, method: str, path: str, kind: Kind) -> None:
    assert request_kinds(app)(method, path) is kind
