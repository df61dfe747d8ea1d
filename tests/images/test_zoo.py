"""HEIC, AVIF and TIFF of all depths, modes and profiles have the colours that an independent decoder sees."""

import io
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.images.colour import PORTRAIT, difference, in_srgb
from tests.images.photos import read
from tests.support.colour import profile
from tests.support.heif import coded, decode_heic, encode_heic, nclx, single
from tests.support.pictures import Pixels, encode
from visage.images.colour import EmbeddedProfile, find_conversion
from visage.images.colour.nclx import nclx_profile

WIDE = ["AdobeCompat-v2", "DisplayP3-v4", "ProPhoto-v2-magic", "Rec2020-v4"]
GREY = PORTRAIT[..., 1].copy()


def deep_heic(pixels: Pixels, chroma: str) -> bytes:
    """A HEIC with 10 bits per channel."""
    deep = np.ascontiguousarray(pixels[..., ::-1]).astype(np.uint16) * 257
    file = io.BytesIO()
    height, width = deep.shape[:2]
    pillow_heif.from_bytes("RGB;16", (width, height), deep.tobytes()).save(file, chroma=chroma, quality=90)
    return file.getvalue()


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("is_deep", [False, True], ids=["8 bits", "10 bits"])
def test_heic_of_all_samplings_and_depths(chroma: str, is_deep: bool) -> None:
    data = deep_heic(PORTRAIT, chroma) if is_deep else encode_heic(PORTRAIT, chroma=chroma, quality=90)

    assert difference(read(data).pixels, decode_heic(data)) < 0.6
    assert difference(read(data).pixels, PORTRAIT) < 4


@pytest.mark.parametrize("subsampling", ["4:0:0", "4:2:0", "4:2:2", "4:4:4"])
def test_avif_of_all_samplings(subsampling: str) -> None:
    data = encode(GREY if subsampling == "4:0:0" else PORTRAIT, "AVIF", subsampling=subsampling, quality=90)

    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., ::-1]
    assert difference(read(data).pixels, expected) < 0.6


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "TIFF"])
def test_colours_are_converted_by_the_profile(name: str, kind: str) -> None:
    icc = profile(name)
    if kind == "HEIC":
        pillow_heif.register_heif_opener()
        image = Image.fromarray(np.ascontiguousarray(PORTRAIT[..., ::-1]))
        image.info["icc_profile"] = icc
        file = io.BytesIO()
        pillow_heif.from_pillow(image).save(file, quality=90)
        data = file.getvalue()
    else:
        data = encode(PORTRAIT, kind, icc_profile=icc)

    assert difference(read(data).pixels, in_srgb(data)) < 0.6


def test_cmyk_is_converted_by_its_profile() -> None:
    data = encode(PORTRAIT, "TIFF", "CMYK", icc_profile=profile("CGATS001Compat-v2-micro"))

    assert difference(read(data).pixels, in_srgb(data)) < 0.1


def test_colours_that_are_named_by_numbers_are_those_of_a_profile() -> None:
    pixels, expected = PORTRAIT.copy(), PORTRAIT.copy()
    named = nclx_profile(12, 13)
    assert named is not None
    for data, target in ((named, pixels), (profile("DisplayP3-v4"), expected)):
        conversion = find_conversion(EmbeddedProfile(data, 3))
        assert conversion is not None
        conversion.apply(target)

    assert difference(pixels, expected) < 0.6


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_numbers_in_the_file_convert_colours(kind: str) -> None:
    item = coded(PORTRAIT, kind, quality=90)
    plain = read(single(item)).pixels
    named = nclx_profile(12, 13)
    assert named is not None
    conversion = find_conversion(EmbeddedProfile(named, 3))
    assert conversion is not None
    conversion.apply(plain)

    wide = type(item)(item.kind, item.content, (*item.properties[:2], nclx(12, 13)))

    assert difference(read(single(wide)).pixels, plain) < 0.6


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (99, 99)])
def test_numbers_of_srgb_cost_nothing(primaries: int, transfer: int) -> None:
    assert nclx_profile(primaries, transfer) is None


@pytest.mark.parametrize(
    ("transfer", "white", "grey"),
    [
        # The signals of 203 and of 26 cd/m2 (ITU-R BT.2408, table 1): white, and an 18 % grey card.
        pytest.param(16, 0.5806, 0.3803, id="PQ"),
        pytest.param(18, 0.75, 0.3794, id="HLG"),
    ],
)
def test_white_of_a_high_dynamic_range_is_white(transfer: int, white: float, grey: float) -> None:
    named = nclx_profile(1, transfer)
    assert named is not None
    conversion = find_conversion(EmbeddedProfile(named, 3))
    assert conversion is not None
    levels = np.array([[[round(255 * white)] * 3, [255] * 3, [round(255 * grey)] * 3, [0] * 3]], np.uint8)

    conversion.apply(levels)

    shown = levels[0, :, 0].astype(int)
    assert shown[0] >= 250
    assert shown[1] == 255
    # 26 of 203 cd/m2 are 0.128, in sRGB 0.395.
    assert abs(shown[2] - 101) < 8
    assert shown[3] <= 1


@pytest.mark.parametrize("options", [{}, {"tile": (32, 32)}, {"rowsperstrip": 5}, {"planarconfig": "separate"}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_another_encoder(options: dict[str, Any], compression: str | None, dtype: type) -> None:
    pixels: NDArray[Any] = np.ascontiguousarray(PORTRAIT[..., ::-1]).astype(dtype)
    stored = pixels * 257 if dtype is np.uint16 else pixels
    if options.get("planarconfig"):
        stored = np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    file = io.BytesIO()
    tifffile.imwrite(file, stored, photometric="rgb", compression=compression, metadata=None, **options)

    assert difference(read(file.getvalue()).pixels, PORTRAIT) == 0
