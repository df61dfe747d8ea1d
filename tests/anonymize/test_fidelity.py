"""Outside the masks an anonymized photo keeps what its format can keep, as an independent decoder (Pillow) sees it."""

import io
import sys
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, JpegPresets

from tests.images.colour import PORTRAIT, in_srgb
from tests.support.colour import profile
from tests.support.pictures import animation, as_stored, encode, encode_16_bit, exif, png_chunk
from tests.support.tiny_pack import TINY_FACES, draw
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.faces.search import Detail
from visage.runtime.engine import Engine

FAST = AnonymizeOptions(detail=Detail.FAST)

# The squares of the tiny pack's faces before a photograph: (384, 384, 3) uint8 BGR.
PHOTO = draw(faces=TINY_FACES)
PHOTO[:128, 256:] = PORTRAIT

# Where no mask reaches.
CLEAR = np.s_[:120, 264:]

# Tables of Photoshop, which no quality of libjpeg has.
PHOTOSHOP = JpegPresets.presets["high"]["quantization"]


def pillow(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.uint8)[..., ::-1]


def anonymized(engine: Engine, data: bytes) -> Anonymized:
    result = engine.anonymize(data, FAST)
    assert result.redacted == 3
    return result


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encode(PHOTO, "PNG"), id="PNG"),
        pytest.param(encode(PHOTO, "PNG", "P"), id="PNG with a palette"),
        pytest.param(encode(PHOTO, "BMP"), id="BMP"),
        pytest.param(encode(PHOTO, "WEBP", lossless=True), id="WebP"),
        pytest.param(encode(PHOTO, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(1)), id="WebP with metadata"),
        pytest.param(animation("WEBP", PHOTO, PHOTO[::-1]), id="animated WebP"),
    ],
)
def test_a_lossless_photo_keeps_every_pixel_outside_the_masks(engine: Engine, data: bytes) -> None:
    picture = anonymized(engine, data).picture

    np.testing.assert_array_equal(pillow(picture)[CLEAR], pillow(data)[CLEAR])


def test_a_webp_with_loss_stays_one_with_loss(engine: Engine) -> None:
    assert b"VP8 " in anonymized(engine, encode(PHOTO, "WEBP", quality=80)).picture[:64]


def deep_photo() -> NDArray[np.uint16]:
    noise = np.random.default_rng(0).integers(0, 256, PHOTO.shape, np.uint16)
    return np.asarray(PHOTO.astype(np.uint16) * 256 + noise, np.uint16)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_16_bit_png_keeps_its_16_bits(engine: Engine, orientation: int) -> None:
    deep = deep_photo()
    stored: Any = as_stored(deep, orientation)  # type: ignore[arg-type]
    data = cv2.imencode(".png", stored)[1].tobytes()
    data = data[:33] + png_chunk(b"eXIf", exif(orientation)) + data[33:]

    result = anonymized(engine, data)

    # Pillow reads 8 of 16 bits only.
    written = cv2.imdecode(np.frombuffer(result.picture, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (written is not None, result.depth) == (True, 16)
    np.testing.assert_array_equal(np.asarray(written)[CLEAR], deep[CLEAR])
    assert Image.open(io.BytesIO(result.picture)).size == (384, 384)


def test_a_mask_over_a_16_bit_png_is_that_of_its_8_bits(engine: Engine) -> None:
    deep = anonymized(engine, encode_16_bit(PHOTO)).picture
    plain = anonymized(engine, encode(PHOTO, "PNG")).picture

    written = np.asarray(cv2.imdecode(np.frombuffer(deep, np.uint8), cv2.IMREAD_COLOR))
    np.testing.assert_allclose(written.astype(int), pillow(plain).astype(int), atol=1)


def test_a_transparent_16_bit_png_keeps_16_bits_and_no_hidden_pixel(engine: Engine) -> None:
    alpha = np.full(PHOTO.shape[:2], 65535, np.uint16)
    alpha[:60, 330:] = 0
    data = cv2.imencode(".png", np.dstack([deep_photo(), alpha]))[1].tobytes()

    result = anonymized(engine, data)

    written = np.asarray(cv2.imdecode(np.frombuffer(result.picture, np.uint8), cv2.IMREAD_UNCHANGED))
    assert (written.shape, written.dtype.name, result.depth) == (PHOTO.shape, "uint16", 16)
    assert (written[:60, 330:] == 65535).all()
    np.testing.assert_array_equal(written[60:120, 264:], deep_photo()[60:120, 264:])


def test_a_16_bit_png_whose_colours_are_converted_says_that_it_has_8(engine: Engine) -> None:
    plain = encode(PHOTO, "PNG", icc_profile=profile("DisplayP3-v4"))
    at = plain.index(b"iCCP") - 4
    chunk = plain[at : at + 12 + int.from_bytes(plain[at : at + 4])]
    deep = encode_16_bit(PHOTO)

    result = engine.anonymize(deep[:33] + chunk + deep[33:], FAST)

    assert result.depth == 8
    assert result.as_json(engine.pack)["image"]["depth"] == 8
    np.testing.assert_allclose(pillow(result.picture)[CLEAR].astype(int), in_srgb(plain)[CLEAR].astype(int), atol=1)


def test_a_16_bit_png_above_the_limit_of_memory_gets_8_bits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "settings", replace(engine.settings, max_decode_bytes=16 * 384 * 384))

    result = anonymized(engine, encode_16_bit(PHOTO))

    assert result.depth == 8


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"quality": 40}, id="quality 40"),
        pytest.param({"quality": 75, "subsampling": 1}, id="4:2:2"),
        pytest.param({"quality": 98, "subsampling": 0}, id="4:4:4"),
        pytest.param({"qtables": PHOTOSHOP, "subsampling": 2}, id="tables of Photoshop"),
        pytest.param({"quality": 75, "progressive": True}, id="progressive"),
    ],
)
def test_a_jpeg_keeps_its_quantization_tables_and_subsampling(engine: Engine, options: dict[str, Any]) -> None:
    data = encode(PHOTO, "JPEG", **options)

    original, written = (Image.open(io.BytesIO(each)) for each in (data, anonymized(engine, data).picture))

    assert written.quantization == original.quantization  # type: ignore[attr-defined]
    assert [each[1:3] for each in written.layer] == [each[1:3] for each in original.layer]  # type: ignore[attr-defined]


def test_a_grey_jpeg_stays_grey(engine: Engine) -> None:
    data = encode(PORTRAIT[..., 1], "JPEG", quality=80)

    assert Image.open(io.BytesIO(engine.anonymize(data, FAST).picture)).mode == "L"


def test_the_tables_of_a_turned_jpeg_are_turned(engine: Engine) -> None:
    data = encode(as_stored(PHOTO, 6), "JPEG", exif=b"Exif\0\0" + exif(6), quality=80)

    original, written = (Image.open(io.BytesIO(each)) for each in (data, anonymized(engine, data).picture))

    before, after = original.quantization[0], written.quantization[0]  # type: ignore[attr-defined]
    assert before != after
    np.testing.assert_array_equal(np.reshape(before, (8, 8)).T, np.reshape(after, (8, 8)))


@pytest.mark.parametrize("options", [{"quality": 60}, {"quality": 90, "subsampling": 0}, {"qtables": PHOTOSHOP}])
def test_a_jpeg_differs_outside_the_masks_by_no_more_than_recompression_costs(
    engine: Engine, options: dict[str, Any]
) -> None:
    data = encode(PHOTO, "JPEG", **options)
    again = io.BytesIO()
    opened = Image.open(io.BytesIO(data))
    subsampling = {"subsampling": options["subsampling"]} if "subsampling" in options else {"subsampling": 2}
    opened.convert("RGB").save(again, "JPEG", qtables=opened.quantization, **subsampling)  # type: ignore[attr-defined]
    cost = cv2.absdiff(pillow(again.getvalue())[CLEAR], pillow(data)[CLEAR]).mean()

    picture = anonymized(engine, data).picture

    assert cv2.absdiff(pillow(picture)[CLEAR], pillow(data)[CLEAR]).mean() < cost + 0.05


def test_without_pillow_a_jpeg_is_written_with_a_high_quality(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(PHOTO, "JPEG", quality=40)
    monkeypatch.setitem(sys.modules, "PIL", None)

    picture = anonymized(engine, data).picture

    monkeypatch.undo()
    assert np.abs(pillow(picture)[CLEAR].astype(int) - pillow(data)[CLEAR]).mean() < 2
