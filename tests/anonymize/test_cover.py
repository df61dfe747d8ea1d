"""Boxes that a person draws over faces that the detector missed are redacted, and nothing else that is kept."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.anonymize.support import BOXES, FAST, SOLID_BOXES, keeping, pixels_of, without
from tests.support.pictures import as_stored, encode, exif
from visage.anonymize.masks import Mask, Method
from visage.anonymize.options import AnonymizeOptions
from visage.errors import BadParameter
from visage.images.boxes import Box
from visage.runtime.engine import Engine

MISSED = Box(10, 20, 60, 90)


def test_a_box_to_cover_is_redacted_beside_the_faces(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, replace(FAST, cover=(MISSED,)))

    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, *BOXES, MISSED))
    assert (len(anonymized.faces), anonymized.cover, anonymized.redacted) == (3, (MISSED,), 4)


def test_without_detection_only_the_boxes_to_cover_are_redacted(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, replace(FAST, cover=(MISSED,), detect=False))

    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, MISSED))
    assert anonymized.faces == ()


@pytest.mark.parametrize("method", Method)
def test_the_boxes_of_an_earlier_result_redact_what_it_redacted(
    engine: Engine, tiny_png: bytes, method: Method
) -> None:
    options = AnonymizeOptions(Mask(method))
    found = engine.anonymize(tiny_png, options)

    boxes = tuple(each.box for face in found.faces for each in face.boxes)
    again = engine.anonymize(tiny_png, replace(options, cover=boxes, detect=False))

    assert np.array_equal(pixels_of(again.picture), pixels_of(found.picture))


def test_a_box_to_cover_is_redacted_where_it_overlaps_a_face_to_keep(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    eyes = Box(250, 190, 330, 210)

    picture = engine.anonymize(tiny_png, replace(keeping(BOXES[1].corners), cover=(eyes,))).picture

    assert np.array_equal(pixels_of(picture), without(tiny_photo, BOXES[0], BOXES[2], eyes))


def test_only_the_part_inside_the_photo_is_redacted(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, replace(FAST, cover=(Box(-50, 370, 30, 900),), detect=False))

    assert anonymized.cover == (Box(0, 370, 30, 384),)
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, Box(0, 370, 30, 384)))


def test_boxes_to_cover_are_in_pixels_of_the_upright_photo(engine: Engine, tiny_photo: NDArray[np.uint8]) -> None:
    upright = tiny_photo[:, :300]
    turned = encode(as_stored(upright, 6), "PNG", exif=b"Exif\0\0" + exif(6))

    picture = engine.anonymize(turned, replace(FAST, cover=(MISSED,), detect=False)).picture

    assert np.array_equal(pixels_of(picture), without(upright, MISSED))


def test_the_error_names_the_box_that_is_outside_the_photo(engine: Engine, tiny_png: bytes) -> None:
    with pytest.raises(BadParameter, match=r"box 2, \[384, 0, 400, 9\], has no pixel of the 384 x 384"):
        engine.anonymize(tiny_png, replace(FAST, cover=(MISSED, Box(384, 0, 400, 9))))


def test_masks_that_would_take_minutes_are_rejected(engine: Engine, tiny_png: bytes) -> None:
    everything = (Box(0, 0, 384, 384),)
    engine.anonymize(tiny_png, AnonymizeOptions(SOLID_BOXES, cover=everything * 32, detect=False))

    with pytest.raises(BadParameter, match="33 times the area of the photo"):
        engine.anonymize(tiny_png, AnonymizeOptions(SOLID_BOXES, cover=everything * 33, detect=False))
