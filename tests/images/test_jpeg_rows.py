"""A JPEG that lacks only its end marker is decoded; one that lacks rows is rejected, with and without the marker."""

import numpy as np
import pytest

from tests.images.photos import assert_alike, read
from tests.support.colour import profile
from tests.support.pictures import encode, gradient, plain
from visage.errors import UndecodableImage

END = b"\xff\xd9"

# With noise, so that every row has data of its own.
PHOTO = plain(160, 240, (200, 90, 30))

KINDS = {
    "baseline": encode(PHOTO, "JPEG"),
    "full chroma": encode(PHOTO, "JPEG", subsampling=0),
    "progressive": encode(PHOTO, "JPEG", progressive=True),
    "restarts": encode(PHOTO, "JPEG", restart_marker_blocks=5),
    "grey": encode(PHOTO[..., 0].copy(), "JPEG"),
    "grey with restarts": encode(PHOTO[..., 0].copy(), "JPEG", restart_marker_blocks=3),
    "CMYK": encode(PHOTO, "JPEG", "CMYK"),
    "CMYK with a profile": encode(PHOTO, "JPEG", "CMYK", icc_profile=profile("CGATS001Compat-v2-micro")),
}


@pytest.mark.parametrize("min_side", [None, 30])
@pytest.mark.parametrize("end", [b"", b"\xff"])
@pytest.mark.parametrize("name", KINDS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_decoded(name: str, end: bytes, min_side: int | None) -> None:
    whole = KINDS[name]

    photo = read(whole[:-2] + end, min_side)

    assert_alike(photo.pixels, read(whole, min_side).pixels, 0)


@pytest.mark.parametrize("min_side", [None, 30])
@pytest.mark.parametrize("end", [b"", END])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "progressive"])
def test_a_jpeg_that_lacks_rows_is_rejected(name: str, share: float, end: bytes, min_side: int | None) -> None:
    whole = KINDS[name]

    with pytest.raises(UndecodableImage):
        read(whole[: round(len(whole) * share)] + end, min_side)


@pytest.mark.parametrize("end", [b"", END])
@pytest.mark.parametrize("rest", [50, 100, 200, 240])
def test_a_progressive_jpeg_that_lacks_rows_of_its_first_scan_is_rejected(rest: int, end: bytes) -> None:
    whole = KINDS["progressive"]
    first_scan = whole.index(b"\xff\xda")

    with pytest.raises(UndecodableImage):
        read(whole[: first_scan + rest] + end)


def test_a_progressive_jpeg_with_all_rows_in_less_detail_is_decoded() -> None:
    smooth = gradient(160, 240)
    whole = encode(smooth, "JPEG", progressive=True)
    last_scan = whole.rindex(b"\xff\xda")

    assert_alike(read(whole[:last_scan] + END).pixels, smooth, 24)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_picture_that_ends_in_grey_is_decoded(options: dict[str, int]) -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[:20] = 30

    assert_alike(read(encode(pixels, "JPEG", "", **options)).pixels, pixels, 12)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_fill_bytes_before_the_end_marker_do_not_matter(options: dict[str, bool]) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    whole = encode(grey, "JPEG", "", **options)

    assert_alike(read(whole[:-2] + b"\xff\xff" + END).pixels, grey, 0)


def test_bytes_behind_the_end_marker_do_not_matter() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)

    assert_alike(read(encode(grey, "JPEG") + b"MotionPhoto_Data" + bytes(100)).pixels, grey, 0)
