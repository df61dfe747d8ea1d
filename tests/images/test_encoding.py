"""An encoded JPEG has the pixels of the image and no metadata."""

import pytest

from tests.images.photos import PHOTO, assert_alike, read
from tests.support.pictures import encode, exif
from visage.images.encoding import encode_jpeg


def test_an_encoded_jpeg_has_no_metadata() -> None:
    upload = encode(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0" + exif(1), comment=b"at home", icc_profile=b"profile")

    encoded = encode_jpeg(read(upload).pixels, 95)

    segments = encoded.partition(b"\xff\xda")[0]
    assert [segments.count(bytes([0xFF, marker])) for marker in (0xE0, *range(0xE1, 0xF0), 0xFE)] == [1] + 16 * [0]
    assert b"at home" not in encoded


@pytest.mark.parametrize(("quality", "tolerance"), [(50, 40), (95, 8)])
def test_an_encoded_jpeg_decodes_to_the_same_image(quality: int, tolerance: int) -> None:
    encoded = encode_jpeg(PHOTO, quality)

    assert_alike(read(encoded).pixels, PHOTO, tolerance)
