"""Small pictures to mutate, and the errors that a mutated one may have."""

import numpy as np
import requests

from tests.support.pictures import GIF, HEIC, animation, encode, gradient
from tests.support.tiny_pack import REDDISH, draw

SMALL = draw(96, 96, {(24, 24, 48, 48): REDDISH})

MUTATED = {
    "JPEG": encode(SMALL, "JPEG"),
    "progressive JPEG": encode(SMALL, "JPEG", progressive=True),
    "PNG": encode(gradient(96, 96), "PNG"),
    "PNG with alpha": encode(np.dstack([gradient(96, 96), gradient(96, 96)[..., 0]]), "PNG"),
    "WebP": encode(SMALL, "WEBP"),
    "BMP": encode(SMALL, "BMP"),
}

# Mutations splice in headers of these, too.
DONORS = [*MUTATED.values(), animation("PNG", SMALL, SMALL[::-1]), animation("WEBP", SMALL, SMALL[::-1]), GIF, HEIC]

EXPECTED_ERRORS = {
    (400, "empty_image"),
    (413, "image_too_large"),
    (415, "unsupported_type"),
    (422, "undecodable_image"),
}
MUTATIONS = 334  # of each of six pictures: 2,004


def is_documented(response: requests.Response) -> bool:
    content = response.json()
    if response.status_code == 200:
        return isinstance(content["faces"], list)
    known = (response.status_code, content["code"]) in EXPECTED_ERRORS
    return known and set(content) == {"error", "code"} and content["error"].endswith(".")
