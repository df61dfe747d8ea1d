"""Requests with a photo."""

import io
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


def post(client: FlaskClient, photo: bytes, route: str = "/predict", **arguments: Any) -> TestResponse:
    return client.post(route, data={"image": (io.BytesIO(photo), "photo.png")}, **arguments)
