"""The shape that every response must have."""

import numpy as np
import requests

from tests.support.tiny_pack import BLUISH, REDDISH, TINY_FACES


def assert_rejected(response: requests.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    content = response.json()
    assert set(content) == {"error", "code"}
    assert content["code"] == code
    assert content["error"].endswith((".", "?"))
    assert "Traceback" not in content["error"]
    assert_protected(response)


def assert_protected(response: requests.Response) -> None:
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if not response.url.partition("/static/")[1]:
        assert response.headers["Cache-Control"] == "no-store"


def assert_has_the_faces(response: requests.Response, tolerance: int) -> None:
    """Check for 200 with the boxes of `TINY_FACES`, each with the gender of its colour."""
    assert response.status_code == 200, response.text
    assert_protected(response)
    content = response.json()
    assert content["image"] == {"width": 384, "height": 384}
    found = sorted(content["faces"], key=lambda face: [round(edge, -1) for edge in face["bbox"]])
    np.testing.assert_allclose([face["bbox"] for face in found], sorted(TINY_FACES), atol=tolerance)
    genders = {BLUISH: "Male", REDDISH: "Female"}
    assert all(
        face["gender"] == genders.get(TINY_FACES[box], face["gender"])
        for face, box in zip(found, sorted(TINY_FACES), strict=True)
    )
