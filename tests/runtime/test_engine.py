"""The engine as a library: it analyzes encoded images, from any number of threads, without HTTP."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_pack import BLUISH, MAGENTA, TINY_FACES, draw
from visage.errors import EmptyImage, ImageTooLarge, QueueFull
from visage.faces.analyzer import MIN_DECODED_SIDE, AnalyzeOptions, original_box
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.images.decoding import Photo
from visage.runtime.engine import Engine
from visage.settings import Settings


def png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def corners(face: Face) -> tuple[int, int, int, int]:
    return face.box.corners


def test_faces_have_box_gender_and_age(engine: Engine, tiny_png: bytes) -> None:
    faces = engine.analyze(tiny_png).faces

    assert sorted(map(corners, faces)) == sorted(TINY_FACES)
    genders = {corners(face): face.gender for face in faces}
    assert genders[240, 176, 336, 272] == "Female"
    assert genders[48, 240, 144, 336] == "Male"


def test_probabilities_sum_to_one_and_the_age_in_years_is_their_expectation(engine: Engine, tiny_png: bytes) -> None:
    face = engine.analyze(tiny_png).faces[0]

    middles = {"(0-9)": 4.5, "(10-49)": 29.5, "(50-99)": 74.5}
    assert sum(face.gender_probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert sum(face.age_probabilities.values()) == pytest.approx(1, abs=1e-5)
    expectation = sum(middles[label] * value for label, value in face.age_probabilities.items())
    assert face.age_years == pytest.approx(expectation, abs=1e-3)


def test_the_age_range_is_that_of_the_most_probable_group(engine: Engine, tiny_png: bytes) -> None:
    ranges = {"(0-9)": (0, 9), "(10-49)": (10, 49), "(50-99)": (50, 99)}

    faces = engine.analyze(tiny_png).faces

    assert [face.age_range for face in faces] == [ranges[face.age] for face in faces]
    assert len({face.age for face in faces}) == 2


def test_the_largest_face_comes_first(engine: Engine) -> None:
    photo = png(draw(faces={(260, 260, 308, 308): MAGENTA, (48, 48, 144, 144): MAGENTA}))

    faces = engine.analyze(photo, AnalyzeOptions(detail=Detail.HIGH, min_confidence=0.99)).faces

    areas = [face.box.area for face in faces]
    assert len(set(areas)) > 1
    assert areas == sorted(areas, reverse=True)


def test_a_photo_without_faces_gives_an_empty_list_and_an_image(engine: Engine) -> None:
    analysis = engine.analyze(png(draw()))

    assert analysis.faces == ()
    assert analysis.annotated is not None


def test_max_faces_keeps_the_largest(engine: Engine, tiny_png: bytes) -> None:
    all_faces = engine.analyze(tiny_png).faces

    assert engine.analyze(tiny_png, AnalyzeOptions(max_faces=2)).faces == all_faces[:2]


def test_faces_below_the_minimum_size_are_dropped(engine: Engine, tiny_png: bytes) -> None:
    assert len(engine.analyze(tiny_png, AnalyzeOptions(min_face_size=96)).faces) == 3
    assert len(engine.analyze(tiny_png, AnalyzeOptions(min_face_size=97)).faces) == 0


def test_a_higher_confidence_threshold_keeps_a_subset_of_the_faces(engine: Engine, tiny_png: bytes) -> None:
    all_faces = engine.analyze(tiny_png, AnalyzeOptions(min_confidence=0.01)).faces
    strict = engine.analyze(tiny_png, AnalyzeOptions(min_confidence=0.999)).faces

    assert 0 < len(strict) < len(all_faces)
    assert set(map(corners, strict)) < set(map(corners, all_faces))


def test_the_annotated_image_is_optional(engine: Engine, tiny_png: bytes) -> None:
    analysis = engine.analyze(tiny_png, annotated=False)

    assert analysis.annotated is None
    assert set(analysis.seconds) == {"wait", "decode", "detect", "attributes"}


def test_the_annotated_image_has_the_size_of_the_photo(engine: Engine, tiny_png: bytes) -> None:
    annotated = engine.analyze(tiny_png).annotated

    picture = cv2.imdecode(np.frombuffer(annotated or b"", np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (384, 384, 3)


def test_a_large_photo_is_decoded_smaller_and_its_boxes_refer_to_the_original(engine: Engine) -> None:
    # 16 times the tiny photo: 6144 pixels, so decoded at 1/4.
    faces = {(16 * x1, 16 * y1, 16 * x2, 16 * y2): colour for (x1, y1, x2, y2), colour in TINY_FACES.items()}
    photo = cv2.imencode(".jpg", draw(16 * 384, 16 * 384, faces))[1].tobytes()

    analysis = engine.analyze(photo)

    assert (analysis.width, analysis.height, analysis.annotated_scale) == (6144, 6144, 0.25)
    assert 6144 * analysis.annotated_scale >= MIN_DECODED_SIDE
    found = sorted(map(corners, analysis.faces))
    np.testing.assert_allclose(found, sorted(faces), atol=16)


def test_high_detail_decodes_a_large_photo_at_full_size(engine: Engine) -> None:
    photo = cv2.imencode(".jpg", draw(2 * MIN_DECODED_SIDE, 100))[1].tobytes()

    assert engine.analyze(photo, AnalyzeOptions(detail=Detail.AUTO)).annotated_scale == 0.5
    assert engine.analyze(photo, AnalyzeOptions(detail=Detail.HIGH)).annotated_scale == 1


def test_boxes_stay_inside_the_original_image() -> None:
    photo = Photo(np.zeros((50, 51, 3), np.uint8), width=101, height=99, scale=0.5)

    box = original_box(np.array([49.9, 48, 51, 50], np.float32), photo)

    assert box == Box(100, 96, 101, 99)


def test_many_threads_get_the_results_of_one(engine: Engine) -> None:
    photos = [
        png(draw(300 + 7 * index, 400 - 5 * index, {(48, 48 + index, 144, 144 + index): (MAGENTA, BLUISH)[index % 2]}))
        for index in range(12)
    ]
    serial = [engine.analyze(photo).faces for photo in photos]

    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda photo: engine.analyze(photo).faces, photos * 10))

    assert parallel == serial * 10


def test_an_invalid_photo_takes_no_slot(tiny_pack: Path) -> None:
    engine = Engine(Settings(pack=str(tiny_pack), queue=0, wait_seconds=0))

    with engine.admission.slot(), pytest.raises(EmptyImage):
        engine.analyze(b"")


def test_a_photo_is_rejected_when_the_queue_is_full(tiny_pack: Path, tiny_png: bytes) -> None:
    engine = Engine(Settings(pack=str(tiny_pack), queue=0, wait_seconds=0))

    with engine.admission.slot(), pytest.raises(QueueFull):
        engine.analyze(tiny_png)

    assert len(engine.analyze(tiny_png).faces) == 3


def test_the_pixel_limit_is_the_area_of_the_image(tiny_pack: Path, tiny_png: bytes) -> None:
    limit = 384 * 384
    exact = Engine(Settings(pack=str(tiny_pack), max_image_pixels=limit))
    less = Engine(Settings(pack=str(tiny_pack), max_image_pixels=limit - 1))

    assert len(exact.analyze(tiny_png).faces) == 3
    with pytest.raises(ImageTooLarge, match="384 x 384 pixels; at most 147,455"):
        less.analyze(tiny_png)


@pytest.mark.parametrize("size", [(1, 65_501), (65_501, 1), (70_000, 2)])
def test_a_side_too_long_for_a_jpeg_is_rejected(engine: Engine, size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge, match="no side may be longer than 65,500"):
        engine.analyze(png(draw(*size)))


def test_the_longest_side_of_a_jpeg_is_accepted(engine: Engine) -> None:
    assert engine.analyze(png(draw(1, 65_500))).annotated is not None


def test_order_and_minimum_size_apply_to_the_boxes_in_the_result(engine: Engine) -> None:
    faces = engine.analyze(png(draw(501, 333, {(20, 30, 150, 160): MAGENTA, (200, 60, 330, 190): BLUISH}))).faces
    areas = [face.box.area for face in faces]
    least = min(min(face.box.width, face.box.height) for face in faces)

    photo = png(draw(501, 333, {(20, 30, 150, 160): MAGENTA, (200, 60, 330, 190): BLUISH}))

    assert areas == sorted(areas, reverse=True)
    assert len(engine.analyze(photo, AnalyzeOptions(min_face_size=least)).faces) == len(faces)
    assert len(engine.analyze(photo, AnalyzeOptions(min_face_size=least + 1)).faces) < len(faces)
