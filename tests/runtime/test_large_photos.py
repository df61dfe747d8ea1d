"""Photos of up to 200 megapixels are analyzed where a reduced size is enough, in little memory."""

import struct
from typing import Any

import numpy as np
import pytest

from tests.support.memory import peak_bytes
from tests.support.pictures import Pixels, encode
from tests.support.tall_jpeg import STRIP_ROWS, photo_of_squares
from tests.support.tiny_pack import MAGENTA
from visage.errors import ImageTooLarge
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.images.headers import read_header
from visage.images.jpeg import jpeg_segments
from visage.runtime.engine import Engine
from visage.settings import Settings

# Sizes of the largest photos of phones today: 108 and 200 megapixels.
SIZES = [(12_000, 9_008), (16_320, 12_240)]

PIXELS: Pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its header. It cannot be decoded."""
    frame = next(start for marker, start, _ in jpeg_segments(jpeg) if marker in (0xC0, 0xC2))
    return jpeg[: frame + 1] + struct.pack(">HH", height, width) + jpeg[frame + 5 :]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_boxes_of_a_large_photo_are_in_pixels_of_the_original(engine: Engine, width: int, height: int) -> None:
    # The detector of the tests finds squares of a quarter of the width, an eighth of it from the corner.
    start, end = width // 8 // STRIP_ROWS * STRIP_ROWS, 3 * width // 8 // STRIP_ROWS * STRIP_ROWS

    analysis = engine.analyze(photo_of_squares(width, height, {(start, start, end, end): MAGENTA}))

    assert (analysis.width, analysis.height) == (width, height)
    (face,) = analysis.faces
    # A pixel of the detector, whose input is 96 pixels wide.
    assert np.allclose(face.box.corners, (start, start, end, end), atol=width / 96)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_annotated_picture_of_a_large_photo_has_an_eighth_of_its_size(
    engine: Engine, width: int, height: int
) -> None:
    analysis = engine.analyze(photo_of_squares(width, height, {}))

    assert analysis.annotated is not None
    header = read_header(analysis.annotated)
    assert (header.width, header.height) == (width // 8, height // 8)
    assert analysis.annotated_scale == pytest.approx(1 / 8)


def test_a_photo_of_200_megapixels_takes_little_memory() -> None:
    data = photo_of_squares(*SIZES[-1], {})
    setup = "from visage.runtime.engine import Engine; engine = Engine(); engine.warm_up()"

    peak = peak_bytes(setup, "engine.analyze(data)", data)

    # At full size the pixels alone are 600 MB.
    assert peak < 60_000_000


@pytest.mark.parametrize(
    ("width", "height", "subsampling", "accepted"),
    [(12_000, 9_008, 2, True), (12_000, 9_008, 0, False), (16_320, 12_240, 2, False), (7_071, 7_071, 0, True)],
)
def test_a_progressive_photo_is_accepted_if_its_coefficients_fit_into_the_memory(
    engine: Engine, width: int, height: int, subsampling: int, accepted: bool
) -> None:
    photo = resized(encode(PIXELS, "JPEG", progressive=True, subsampling=subsampling), width, height)

    needed = read_header(photo).reduced_decoding_bytes(8)

    assert (needed <= engine.settings.max_decode_bytes) == accepted
    if not accepted:
        with pytest.raises(ImageTooLarge, match=r"Send a smaller version, or a JPEG with one scan\.$"):
            engine.analyze(photo)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_a_format_without_reduced_decoding_is_judged_by_its_pixels(kind: str) -> None:
    header = read_header(encode(PIXELS, kind))

    assert header.reduced_decoding_bytes(8) == 3 * 32 * 32 + 7 * 4 * 4


def test_a_large_photo_is_not_decoded_at_full_size(engine: Engine) -> None:
    photo = photo_of_squares(*SIZES[0], {})

    with pytest.raises(ImageTooLarge, match=r"takes 649 MB .* With another detail than high, this one is accepted"):
        engine.analyze(photo, AnalyzeOptions(detail=Detail.HIGH))


def test_a_photo_that_is_too_large_at_every_detail_gets_no_other_advice(engine: Engine) -> None:
    photo = resized(encode(PIXELS, "JPEG", progressive=True, subsampling=0), *SIZES[0])

    with pytest.raises(ImageTooLarge, match=r"one scan\.$"):
        engine.analyze(photo, AnalyzeOptions(detail=Detail.HIGH))


def test_the_limit_of_pixels_to_find_faces_is_200_million(engine: Engine) -> None:
    jpeg = encode(PIXELS, "JPEG")

    with pytest.raises(ImageTooLarge, match="20000 x 10001 pixels; at most 200,000,000 in all"):
        engine.analyze(resized(jpeg, 20_000, 10_001))
    assert Settings().max_image_pixels == 20_000 * 10_000


@pytest.mark.parametrize(("settings", "limit"), [({}, "50,000,000"), ({"max_image_pixels": 49_000_000}, "49,000,000")])
def test_a_photo_to_anonymize_has_a_limit_of_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], limit: str
) -> None:
    monkeypatch.setattr(engine, "settings", Settings(**settings))

    with pytest.raises(ImageTooLarge, match=f"at most {limit} in all"):
        engine.anonymize(resized(encode(PIXELS, "JPEG"), 10_000, 5_001))
