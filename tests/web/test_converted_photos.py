"""HEIC and AVIF are answered with a JPEG, TIFF with a PNG, without metadata, and the response says so."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.support.heif import File, Item, coded, encode_heic, write
from tests.support.pictures import encode, exif, gradient

PHOTO = gradient(64, 96)
PHOTOS = [
    pytest.param("HEIC", encode_heic(PHOTO), "image/jpeg", id="HEIC"),
    pytest.param("AVIF", encode(PHOTO, "AVIF"), "image/jpeg", id="AVIF"),
    pytest.param("TIFF", encode(PHOTO, "TIFF", compression="tiff_lzw"), "image/png", id="TIFF"),
]


@pytest.mark.parametrize("route", ["/anonymize", "/enhance"])
@pytest.mark.parametrize(("name", "photo", "media_type"), PHOTOS)
def test_a_picture_has_a_format_that_everybody_reads(
    client: FlaskClient, route: str, name: str, photo: bytes, media_type: str
) -> None:
    response = client.post(route, data=photo)

    assert (response.status_code, response.mimetype) == (200, media_type), response.text
    assert response.headers["X-Original-Format"] == name
    scale = 3 if route == "/enhance" else 1
    assert Image.open(io.BytesIO(response.data)).size == (96 * scale, 64 * scale)


@pytest.mark.parametrize("route", ["/anonymize", "/enhance"])
@pytest.mark.parametrize(("name", "photo", "media_type"), PHOTOS)
def test_json_names_both_formats(client: FlaskClient, route: str, name: str, photo: bytes, media_type: str) -> None:
    content: Any = client.post(route, data=photo, query_string={"format": "json"}).json

    assert content["image"]["original_format"] == name
    assert f"image/{content['image']['format'].lower()}" == media_type
    assert Image.open(io.BytesIO(base64.b64decode(content["picture"]))).get_format_mimetype() == media_type


@pytest.mark.parametrize(("name", "photo", "media_type"), PHOTOS)
def test_faces_are_searched(client: FlaskClient, name: str, photo: bytes, media_type: str) -> None:
    content: Any = client.post("/predict", data=photo, query_string={"annotated": "false"}).json

    assert content["image"] == {"width": 96, "height": 64}


@pytest.mark.parametrize("route", ["/anonymize", "/enhance", "/analyze"])
def test_no_metadata_survives(client: FlaskClient, route: str) -> None:
    secret = b"SECRET-PLACE"
    thumbnail = coded(PHOTO[::-1].copy())
    metadata = Item(b"Exif", bytes(4) + b"Exif\0\0" + exif(1) + secret)
    xmp = Item(b"mime", secret)
    items = (coded(PHOTO), thumbnail, metadata, xmp)
    photo = write(File(items, ((b"thmb", 2, [1]), (b"cdsc", 3, [1]), (b"cdsc", 4, [1]))))

    picture = client.post(route, data=photo).data

    opened = Image.open(io.BytesIO(picture))
    assert secret not in picture
    assert not opened.getexif()
    assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_form_takes_a_heic(client: FlaskClient) -> None:
    photo = io.BytesIO(encode_heic(PHOTO))

    response = client.post("/anonymize", data={"image": (photo, "IMG_1.HEIC", "image/heic")})

    assert np.asarray(Image.open(io.BytesIO(response.data))).shape == (64, 96, 3)
