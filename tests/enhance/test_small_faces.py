"""Small faces are enhanced before gender and age are estimated."""

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
from visage.nets.detections import Detections
from visage.packs.pack import find_pack

COMPACT = find_pack("compact")


@pytest.fixture(scope="module")
def enhancer() -> FaceEnhancer:
    return FaceEnhancer(EnhanceNet(COMPACT.enhance), COMPACT.gender.crop_scale)


def test_a_face_is_small_if_neither_side_is_long() -> None:
    edge = LONGEST_SIDE
    boxes = np.array([[0, 0, edge, edge], [5, 5, 6 + edge, 10], [5, 5, 10, 6 + edge]], np.float32)

    assert are_small(boxes).tolist() == [True, False, False]
    assert are_small(boxes[:0]).tolist() == []


@pytest.mark.parametrize("place", [(100, 100), (0, 0), (180, 130), (-10, 60)])
def test_the_box_contains_the_enhanced_face(enhancer: FaceEnhancer, place: tuple[int, int]) -> None:
    x, y = place
    pixels = np.full((160, 210, 3), 100, np.uint8)
    pixels[max(0, y) : y + 24, max(0, x) : x + 20] = (40, 200, 250)

    around, box = enhancer.enhance_face(pixels, np.array([x, y, x + 20, y + 24], np.float32))

    x1, y1, x2, y2 = box.astype(int)
    assert (x2 - x1, y2 - y1) == (60, 72)
    face = around[y1:y2, max(0, x1) : x2].astype(int)[6:-6, 6:-6]
    assert np.abs(face - (40, 200, 250)).max() <= 3
    beside = around[y1:y2, x2 + 9 : x2 + 20].astype(int)
    assert x + 20 > 190 or np.abs(beside - 100).max() <= 3


@pytest.mark.parametrize("crop_scale", [1.05, 1.5, 4])
@pytest.mark.parametrize("place", [100.0, 100.49, 100.99])
def test_the_crop_of_a_classifier_is_far_enough_from_the_edges_of_the_enhanced_part(
    crop_scale: float, place: float
) -> None:
    net = EnhanceNet(COMPACT.enhance)
    pixels = np.zeros((250, 250, 3), np.uint8)
    found = np.array([place, place, place + LONGEST_SIDE, place + LONGEST_SIDE], np.float32)

    around, box = FaceEnhancer(net, crop_scale).enhance_face(pixels, found)

    middle, half = (box[0] + box[2]) / 2, 3 * crop_scale * LONGEST_SIDE / 2
    assert middle - half >= 3 * net.overlap
    assert middle + half <= around.shape[1] - 3 * net.overlap


def test_a_large_face_is_classified_without_enhancement(astronaut: NDArray[np.uint8]) -> None:
    analyzer = Analyzer(COMPACT, COMPACT.enhance)
    photo = Photo(astronaut, 512, 512, 1.0)
    found = Detections(np.array([[177, 62, 269, 174]], np.float32), np.ones(1, np.float32))

    assert analyzer.describe(photo, found, enhanced=True) == analyzer.describe(photo, found)


def test_a_small_face_is_classified_from_the_enhanced_part(
    astronaut: NDArray[np.uint8], enhancer: FaceEnhancer
) -> None:
    analyzer = Analyzer(COMPACT, COMPACT.enhance)
    shrunk = np.asarray(cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    small = Detections(np.array([[177, 62, 269, 174]], np.float32) / np.float32(4), np.ones(1, np.float32))
    around, box = enhancer.enhance_face(shrunk, small.boxes[0])

    (enhanced,) = analyzer.describe(Photo(shrunk, 128, 128, 1.0), small, enhanced=True)
    (large,) = analyzer.describe(Photo(around, 192, 192, 1.0), Detections(box[None], small.confidences))
    (plain,) = analyzer.describe(Photo(shrunk, 128, 128, 1.0), small)

    assert enhanced.gender_probabilities == large.gender_probabilities != plain.gender_probabilities
    assert enhanced.age_probabilities == large.age_probabilities
    assert enhanced.box == plain.box


def test_a_request_can_enhance_small_faces(client: FlaskClient, tiny_photo: NDArray[np.uint8]) -> None:
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
