"""Small faces enlarged before gender and age are told."""

import io

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray

from tests.support.pictures import encode
from visage.enhance.net import EnhanceNet
from visage.enhance.small_faces import LONGEST_SIDE, FaceEnhancer, are_small
from visage.faces.analyzer import Analyzer
from visage.images.decoding import Photo
from visage.nets.detector import Detections
from visage.packs.pack import find_pack

COMPACT = find_pack("compact")


@pytest.fixture(scope="module")
def enlarger() -> FaceEnhancer:
    return FaceEnhancer(EnhanceNet(COMPACT.enhance), COMPACT.gender.crop_scale)


def test_small_faces_are_those_of_which_no_side_is_long() -> None:
    edge = LONGEST_SIDE
    boxes = np.array([[0, 0, edge, edge], [5, 5, 6 + edge, 10], [5, 5, 10, 6 + edge]], np.float32)

    assert are_small(boxes).tolist() == [True, False, False]
    assert are_small(boxes[:0]).tolist() == []


@pytest.mark.parametrize("place", [(100, 100), (0, 0), (180, 130), (-10, 60)])
def test_a_face_lies_in_its_box_after_it_was_enlarged(enlarger: FaceEnhancer, place: tuple[int, int]) -> None:
    x, y = place
    pixels = np.full((160, 210, 3), 100, np.uint8)
    pixels[max(0, y) : y + 24, max(0, x) : x + 20] = (40, 200, 250)

    around, box = enlarger.enhance_face(pixels, np.array([x, y, x + 20, y + 24], np.float32))

    x1, y1, x2, y2 = box.astype(int)
    assert (x2 - x1, y2 - y1) == (60, 72)
    face = around[y1:y2, max(0, x1) : x2].astype(int)[6:-6, 6:-6]
    assert np.abs(face - (40, 200, 250)).max() <= 3
    beside = around[y1:y2, x2 + 9 : x2 + 20].astype(int)
    assert x + 20 > 190 or np.abs(beside - 100).max() <= 3


@pytest.mark.parametrize("crop_scale", [1.05, 1.5, 4])
@pytest.mark.parametrize("place", [100.0, 100.49, 100.99])
def test_all_that_a_classifier_sees_is_enlarged_as_if_in_the_whole_picture(crop_scale: float, place: float) -> None:
    net = EnhanceNet(COMPACT.enhance)
    pixels = np.zeros((250, 250, 3), np.uint8)
    found = np.array([place, place, place + LONGEST_SIDE, place + LONGEST_SIDE], np.float32)

    around, box = FaceEnhancer(net, crop_scale).enhance_face(pixels, found)

    middle, half = (box[0] + box[2]) / 2, 3 * crop_scale * LONGEST_SIDE / 2
    assert middle - half >= 3 * net.overlap
    assert middle + half <= around.shape[1] - 3 * net.overlap


def test_a_large_face_is_told_as_it_is(astronaut: NDArray[np.uint8]) -> None:
    analyzer = Analyzer(COMPACT, COMPACT.enhance)
    photo = Photo(astronaut, 512, 512, 1.0)
    found = Detections(np.array([[177, 62, 269, 174]], np.float32), np.ones(1, np.float32))

    assert analyzer.describe(photo, found, enhanced=True) == analyzer.describe(photo, found)


def test_a_small_face_is_told_by_what_was_enlarged_around_it(
    astronaut: NDArray[np.uint8], enlarger: FaceEnhancer
) -> None:
    analyzer = Analyzer(COMPACT, COMPACT.enhance)
    shrunk = np.asarray(cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    small = Detections(np.array([[177, 62, 269, 174]], np.float32) / np.float32(4), np.ones(1, np.float32))
    around, box = enlarger.enhance_face(shrunk, small.boxes[0])

    (told,) = analyzer.describe(Photo(shrunk, 128, 128, 1.0), small, enhanced=True)
    (large,) = analyzer.describe(Photo(around, 192, 192, 1.0), Detections(box[None], small.confidences))
    (plain,) = analyzer.describe(Photo(shrunk, 128, 128, 1.0), small)

    assert told.gender_probabilities == large.gender_probabilities != plain.gender_probabilities
    assert told.age_probabilities == large.age_probabilities
    assert told.box == plain.box


def test_a_caller_can_ask_for_it(client: FlaskClient, tiny_photo: NDArray[np.uint8]) -> None:
    photo = encode(
        np.asarray(cv2.resize(tiny_photo, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA), np.uint8), "PNG"
    )

    def ages(**query: str) -> list[object]:
        data = {"image": (io.BytesIO(photo), "a.png")}
        answer = client.post("/predict", query_string=query, data=data)
        assert answer.status_code == 200, answer.text
        return [face["age_probabilities"] for face in answer.get_json()["faces"]]

    assert ages()
    assert ages(enhance_faces="true") != ages(enhance_faces="false") == ages()
