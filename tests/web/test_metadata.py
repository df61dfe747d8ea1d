"""No picture in a response has metadata of the photo: neither where nor with what it was taken."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.PngImagePlugin import PngInfo

from tests.support.pictures import encode

SECRET = "Rue-Lepic-54"
ROUTES = ("/predict", "/analyze", "/anonymize", "/enhance")
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")


def metadata(kind: str) -> dict[str, Any]:
    """What such a file can have besides pixels, with the secret in each."""
    exif = Image.Exif()
    exif[Base.ImageDescription] = exif[Base.Model] = SECRET
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSAreaInformation] = SECRET.encode()
    parts: dict[str, Any] = {"exif": exif.tobytes()}
    if kind in {"JPEG", "WEBP"}:
        parts["xmp"] = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{SECRET}</x:xmpmeta>".encode()
    if kind == "JPEG":
        parts["comment"] = SECRET.encode()
    if kind == "PNG":
        parts["pnginfo"] = text = PngInfo()
        text.add_text("Comment", SECRET)
        text.add_itxt("XML:com.adobe.xmp", SECRET)
    return parts


def pictures(response: Any) -> list[bytes]:
    """The pictures of a response: itself, or those in base64 in its JSON."""
    if response.mimetype != "application/json":
        return [response.data]
    texts = [each for each in json.loads(response.data).values() if isinstance(each, str)]
    # No other text is as long.
    return [base64.b64decode(text, validate=True) for text in texts if len(text) > 500]


@pytest.mark.parametrize("accept", ["application/json", "image/*"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_has_no_metadata_of_the_photo(
    client: FlaskClient, tiny_photo: NDArray[np.uint8], kind: str, route: str, accept: str
) -> None:
    photo = encode(tiny_photo[:96, :128], kind, **metadata(kind))
    assert SECRET.encode() in photo
    query = {"format": "json"} if accept == "application/json" and route in {"/anonymize", "/enhance"} else {}

    response = client.post(route, data=photo, query_string=query, headers={"Accept": accept})

    assert response.status_code == 200, response.text
    found = pictures(response)
    assert found or route == "/analyze"
    for picture in found:
        assert SECRET.encode() not in picture
        with Image.open(io.BytesIO(picture)) as read:
            assert not read.getexif()
            assert set(read.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background"}
