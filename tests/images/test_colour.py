"""Images with an ICC profile are converted to sRGB, and other images cost and change nothing."""

import subprocess
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.images.colour import PORTRAIT, difference, in_srgb
from tests.images.photos import LIMIT, TRANSPARENT, on_white, read
from tests.support.colour import grey_profile, profile
from tests.support.paths import ROOT
from tests.support.pictures import as_stored, encode, encode_16_bit, exif, jpeg_segment
from visage.images import colour
from visage.images.colour import EmbeddedProfile, find_conversion, find_profile
from visage.images.decoding import decode, inspect

WIDE = ["AdobeCompat-v2", "DisplayP3-v4", "ProPhoto-v2-magic", "Rec2020-v4"]
P3 = profile("DisplayP3-v4")
CMYK = profile("CGATS001Compat-v2-micro")
PROFILED = [encode(PORTRAIT, "PNG", icc_profile=P3), encode(PORTRAIT, "JPEG", "CMYK", icc_profile=CMYK)]

KINDS = [
    pytest.param("JPEG", "", {"quality": 95}, id="JPEG"),
    pytest.param("JPEG", "", {"quality": 95, "progressive": True}, id="progressive JPEG"),
    pytest.param("PNG", "", {}, id="PNG"),
    pytest.param("PNG", "P", {}, id="PNG with a palette"),
    pytest.param("WEBP", "", {"quality": 95}, id="WebP"),
    pytest.param("WEBP", "", {"lossless": True}, id="WebP without loss"),
]


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize(("kind", "mode", "options"), KINDS)
def test_colours_are_converted_by_the_profile(name: str, kind: str, mode: str, options: dict[str, int]) -> None:
    data = encode(PORTRAIT, kind, mode, icc_profile=profile(name), **options)

    # Decoders of one JPEG or WebP differ by a level.
    assert difference(read(data).pixels, in_srgb(data)) < 0.6


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_grey_is_converted_by_a_grey_profile(kind: str, gamma: float) -> None:
    data = encode(PORTRAIT[..., 1], kind, icc_profile=grey_profile(gamma))

    assert difference(read(data).pixels, in_srgb(data)) < 0.1


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_cmyk_is_converted_by_its_profile_at_every_size(reduction: int) -> None:
    data = encode(np.kron(PORTRAIT, np.ones((8, 8, 1), np.uint8)), "JPEG", "CMYK", quality=95, icc_profile=CMYK)

    photo = read(data, 1024 // reduction)

    assert photo.pixels.shape == (1024 // reduction, 1024 // reduction, 3)
    assert difference(photo.pixels, in_srgb(data)[reduction // 2 :: reduction, reduction // 2 :: reduction]) < 2


def test_a_photo_decoded_at_a_smaller_size_is_converted() -> None:
    data = encode(PORTRAIT, "JPEG", quality=95, icc_profile=P3)
    plain = encode(PORTRAIT, "JPEG", quality=95)

    pixels = read(data, 32).pixels

    assert pixels.shape == (32, 32, 3)
    assert difference(pixels, read(plain, 32).pixels) > 2


def test_a_turned_photo_is_converted() -> None:
    data = encode(as_stored(PORTRAIT, 6), "PNG", icc_profile=P3, exif=b"Exif\0\0" + exif(6))

    np.testing.assert_array_equal(read(data).pixels, read(encode(PORTRAIT, "PNG", icc_profile=P3)).pixels)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})])
def test_transparent_pixels_are_converted_before_they_are_blended_with_white(kind: str, options: Any) -> None:
    data = encode(TRANSPARENT, kind, icc_profile=P3, **options)
    colours = read(encode(TRANSPARENT[..., :3], "PNG", icc_profile=P3)).pixels

    expected = on_white(np.dstack([colours, TRANSPARENT[..., 3]]))

    assert difference(read(data).pixels, expected) < 0.1


def test_a_16_bit_png_is_converted() -> None:
    packed = encode(PORTRAIT, "PNG", icc_profile=P3)
    start = packed.index(b"iCCP") - 4
    chunk = packed[start : start + 12 + int.from_bytes(packed[start : start + 4])]
    deep = encode_16_bit(PORTRAIT)

    assert difference(read(deep[:33] + chunk + deep[33:]).pixels, in_srgb(packed)) < 0.6


@pytest.mark.parametrize(
    ("icc", "mode"),
    [
        pytest.param(profile("sRGB-v2-magic"), "", id="sRGB"),
        pytest.param(profile("sGrey-v4"), "L", id="grey with the curve of sRGB"),
        pytest.param(grey_profile(1.8), "", id="a grey profile of a colour image"),
        pytest.param(CMYK, "", id="a CMYK profile of an RGB image"),
        pytest.param(P3, "CMYK", id="an RGB profile of a CMYK image"),
        pytest.param(P3[:300], "", id="a profile cut short"),
        pytest.param(b"profile of a camera" * 20, "", id="no profile at all"),
        pytest.param(P3[:12] + b"link" + P3[16:], "", id="a profile of a device link"),
        pytest.param(P3[:200] + bytes(280), "", id="a profile with zeros in it"),
    ],
)
def test_the_numbers_stay_with_a_profile_that_changes_nothing_or_is_unusable(icc: bytes, mode: str) -> None:
    with_profile = encode(PORTRAIT, "JPEG", mode, quality=95, icc_profile=icc)
    without = encode(PORTRAIT, "JPEG", mode, quality=95)

    np.testing.assert_array_equal(read(with_profile).pixels, read(without).pixels)


def test_a_profile_in_several_segments_is_put_together() -> None:
    halves = [jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([n, 2]) + P3[at : at + 240]) for n, at in ((2, 240), (1, 0))]
    data = encode(PORTRAIT, "JPEG")

    assert find_profile(data[:2] + b"".join(halves) + data[2:], "JPEG") == EmbeddedProfile(P3, 3)


def test_a_profile_with_a_missing_segment_counts_as_none() -> None:
    data = encode(PORTRAIT, "JPEG")
    half = jpeg_segment(0xE2, b"ICC_PROFILE\0\1\2" + P3[:240])

    assert find_profile(data[:2] + half + data[2:], "JPEG") is None


def test_a_profile_of_a_png_that_unpacks_to_more_than_any_profile_counts_as_none() -> None:
    data = encode(PORTRAIT, "PNG", icc_profile=P3 + bytes(5 * 2**20))

    tracemalloc.start()
    found = find_profile(data, "PNG")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found is None
    assert peak < 10 * 2**20


def test_a_png_profile_with_a_wrong_checksum_counts_as_none() -> None:
    data = encode(PORTRAIT, "PNG", icc_profile=P3)
    at = data.index(b"iCCP")
    end = at + 4 + int.from_bytes(data[at - 4 : at])

    assert find_profile(data, "PNG") is not None
    assert find_profile(data[:end] + bytes(4) + data[end + 4 :], "PNG") is None


def test_the_conversion_of_a_profile_is_built_once() -> None:
    first, second = (find_conversion(EmbeddedProfile(bytes(bytearray(P3)), 3)) for _ in range(2))

    assert first is not None
    assert first is second


def test_without_pillow_the_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    colour.conversion._find_conversion.cache_clear()

    pixels = [read(each).pixels for each in PROFILED]

    colour.conversion._find_conversion.cache_clear()
    np.testing.assert_array_equal(pixels[0], PORTRAIT)
    assert pixels[1].shape == PORTRAIT.shape


def test_pillow_is_loaded_for_an_image_with_a_profile_only() -> None:
    script = (
        "import sys; from visage.images import decode, inspect\n"
        "data = sys.stdin.buffer.read(); decode(data, inspect(data, 10**6)); print('PIL' in sys.modules)"
    )

    loaded = [
        subprocess.run([sys.executable, "-c", script], input=data, cwd=ROOT, capture_output=True, check=True).stdout
        for data in (encode(PORTRAIT, "JPEG"), encode(PORTRAIT, "JPEG", icc_profile=P3))
    ]

    assert loaded == [b"False\n", b"True\n"]


@pytest.mark.alone
def test_a_photo_without_a_profile_costs_nothing_extra() -> None:
    data = encode(np.kron(PORTRAIT, np.ones((8, 8, 1), np.uint8)), "JPEG", quality=95)

    started = time.process_time()
    for _ in range(100):
        find_conversion(find_profile(data, "JPEG"))
    finding = time.process_time() - started
    decode(data, inspect(data, LIMIT))
    decoding = time.process_time() - started - finding

    assert finding / 100 < decoding / 50


def test_a_conversion_needs_little_memory_beside_the_image() -> None:
    large = np.kron(PORTRAIT, np.ones((24, 24, 1), np.uint8))
    conversion = find_conversion(EmbeddedProfile(P3, 3))
    assert conversion is not None

    tracemalloc.start()
    conversion.apply(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < large.nbytes / 2
