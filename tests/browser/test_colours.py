"""Photos with ICC profiles get the colours that Chromium shows."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.images.colour import PORTRAIT, difference
from tests.support.colour import grey_profile, profile
from tests.support.pictures import encode
from visage.anonymize.options import AnonymizeOptions
from visage.images.decoding import decode, inspect
from visage.runtime.engine import Engine

# Levels of 255, on average. Without a conversion the photos differ by 4 to 60.
TOLERANCE = 2

# Draws an image on a canvas, whose pixels are in sRGB, and reads them as red, green, blue and alpha.
DRAW = """async address => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

PHOTOS = [
    *(
        pytest.param(kind, encode(PORTRAIT, kind, mode, icc_profile=profile(name), **options), id=f"{name} {label}")
        for name in ("AdobeCompat-v2", "DisplayP3-v4", "ProPhoto-v2-magic", "Rec2020-v4", "sRGB-v2-magic")
        for label, kind, mode, options in (
            ("JPEG", "JPEG", "", {"quality": 95}),
            ("grey JPEG", "JPEG", "L", {"quality": 95}),
            ("PNG", "PNG", "", {}),
            ("palette PNG", "PNG", "P", {}),
            ("WebP", "WEBP", "", {"quality": 95}),
            ("lossless WebP", "WEBP", "", {"lossless": True}),
        )
    ),
    *(
        pytest.param(kind, encode(PORTRAIT, kind, mode, icc_profile=grey_profile(gamma)), id=f"{gamma} {mode} {kind}")
        for gamma in (1.0, 1.8, 2.2)
        for kind in ("JPEG", "PNG")
        for mode in ("L", "RGB")
    ),
    pytest.param(
        "JPEG",
        encode(PORTRAIT, "JPEG", "CMYK", quality=95, icc_profile=profile("CGATS001Compat-v2-micro")),
        id="CMYK JPEG",
    ),
]


@pytest.fixture(scope="module")
def blank(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    yield page
    page.close()


def shown(page: Any, data: bytes, kind: str) -> NDArray[np.uint8]:
    """What Chromium shows for the image: (128, 128, 3) uint8 BGR."""
    address = f"data:{MEDIA_TYPES[kind]};base64,{base64.b64encode(data).decode()}"
    return np.array(page.evaluate(DRAW, address), np.uint8).reshape(*PORTRAIT.shape[:2], 4)[..., 2::-1]


@pytest.mark.parametrize(("kind", "data"), PHOTOS)
def test_a_decoded_photo_has_the_colours_that_chromium_shows(blank: Any, kind: str, data: bytes) -> None:
    assert difference(decode(data, inspect(data, 10**6)).pixels, shown(blank, data, kind)) < TOLERANCE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_anonymized_photo_looks_like_the_original(blank: Any, engine: Engine, kind: str) -> None:
    data = encode(PORTRAIT, kind, icc_profile=profile("DisplayP3-v4"), quality=95)

    anonymized = engine.anonymize(data, AnonymizeOptions(min_confidence=1)).picture

    assert difference(shown(blank, anonymized, kind), shown(blank, data, kind)) < TOLERANCE
