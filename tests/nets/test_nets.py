"""Detector and classifiers: preprocessing, postprocessing, and the correction of prior steps."""

import re
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import tiny_pack as tiny_pack_module
from tests.support.tiny_pack import MAGENTA, TINY_FACES, draw, write_tiny_pack
from visage.directories import BUNDLED_MODELS
from visage.errors import PackError
from visage.images.boxes import intersection_over_union
from visage.nets import classifier
from visage.nets.classifier import CROPS_PER_BATCH, Classifier, classify_by_all
from visage.nets.crops import square_crop
from visage.nets.detections import MAX_IOU
from visage.nets.detector import FaceDetector, correct_prior_steps
from visage.packs.pack import read_pack

FloatBox = NDArray[np.float32]


def box(*edges: float) -> FloatBox:
    return np.array(edges, np.float32)


@pytest.fixture(scope="module")
def detector(tiny_pack: Path) -> FaceDetector:
    return FaceDetector(read_pack(tiny_pack).face)


@pytest.fixture(scope="module")
def gender(tiny_pack: Path) -> Classifier:
    return Classifier(read_pack(tiny_pack).gender)


def test_the_detector_returns_boxes_in_pixels_of_the_image(detector: FaceDetector) -> None:
    found = detector.detect(draw(faces=TINY_FACES), (96, 96))

    confident = found.boxes[found.confidences > 0.5]

    assert sorted(map(tuple, confident.round().tolist())) == sorted(TINY_FACES)


def test_boxes_are_clamped_to_the_image(detector: FaceDetector) -> None:
    corner = draw(faces={(0, 0, 64, 64): MAGENTA})

    found = detector.detect(corner, (96, 96))

    assert len(found.boxes) > 0
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 384


def test_a_net_that_suppresses_less_gives_one_box_for_each_face_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = tiny_pack_module.FACE_PROTOTXT.replace("nms_threshold: 0.45", "nms_threshold: 0.9")
    monkeypatch.setattr(tiny_pack_module, "FACE_PROTOTXT", loose.replace("min_size: 24", "min_size: 64"))
    detector = FaceDetector(read_pack(write_tiny_pack(tmp_path)).face)

    found = detector.detect(draw(faces=TINY_FACES), (96, 96))

    overlaps = intersection_over_union(found.boxes, found.boxes)
    assert len(found.boxes) > 1
    assert np.triu(overlaps, 1).max() <= MAX_IOU


def test_a_box_with_a_nan_hides_no_other(tiny_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[0, 1, 0.9, np.nan, 0.1, 0.5, 0.5], [0, 1, 0.8, 0.25, 0.25, 0.75, 0.75]]
    net = Mock(**{"getLayerNames.return_value": [], "forward.return_value": np.array([[rows]], np.float32)})
    monkeypatch.setattr("visage.nets.detector.read_net", lambda *_: net)

    found = FaceDetector(read_pack(tiny_pack).face).detect(draw(), (96, 96))

    assert found.boxes.tolist() == [[96, 96, 288, 288]]


def test_degenerate_boxes_are_dropped(detector: FaceDetector) -> None:
    thin = draw(width=1, height=384, faces={(0, 0, 1, 384): MAGENTA})

    found = detector.detect(thin, (96, 96))

    assert found.boxes.shape == (0, 4)


def test_faces_in_a_padded_strip_are_found_at_their_position(detector: FaceDetector) -> None:
    strip = draw(960, 120, {(360, 0, 480, 120): MAGENTA})

    found = detector.detect(strip, (128, 16))

    best = found.boxes[found.confidences.argmax()]
    assert found.confidences.max() > 0.5
    np.testing.assert_allclose(best, [330, 0, 510, 120], atol=1)


def test_an_image_without_a_face_gives_empty_arrays(detector: FaceDetector) -> None:
    found = detector.detect(draw(), (96, 96))

    assert found.boxes.shape == (0, 4)
    assert found.confidences.shape == (0,)


def test_detecting_does_not_change_the_pixels(detector: FaceDetector) -> None:
    pixels = draw(faces=TINY_FACES)
    before = pixels.copy()

    detector.detect(pixels, (96, 96))

    np.testing.assert_array_equal(pixels, before)


def test_a_check_does_not_change_later_detections(astronaut: NDArray[np.uint8]) -> None:
    compact = read_pack(BUNDLED_MODELS / "compact").face
    fresh, checked = FaceDetector(compact), FaceDetector(compact)

    checked.check()

    # Bit by bit: layers without Winograd's transform, which take half as long again, give slightly different boxes.
    assert np.array_equal(checked.detect(astronaut, (480, 480)).boxes, fresh.detect(astronaut, (480, 480)).boxes)


@pytest.mark.parametrize("size", [(1, 1), (60, 500), (150, 150), (300, 200)])
def test_detections_do_not_depend_on_the_size_of_the_first_photo(
    astronaut: NDArray[np.uint8], size: tuple[int, int]
) -> None:
    compact = read_pack(BUNDLED_MODELS / "compact").face
    fresh, used = FaceDetector(compact), FaceDetector(compact)

    used.detect(astronaut, size)

    # At 480 pixels layers use Winograd's transform, unless they first ran on less.
    assert np.array_equal(used.detect(astronaut, (480, 480)).boxes, fresh.detect(astronaut, (480, 480)).boxes)


def test_the_faces_of_a_mirrored_photo_are_mirrored(astronaut: NDArray[np.uint8]) -> None:
    """Half a pixel matters: `compact` 4 had learned from labels that were too far left, and found all faces there."""
    detector = FaceDetector(read_pack(BUNDLED_MODELS / "compact").face)
    asymmetries = []
    for side in range(80, 257, 8):
        small = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        plain, mirrored = (detector.detect(pixels, (side, side)).boxes[0] for pixels in (small, np.fliplr(small)))
        asymmetries.append((plain[[0, 2]].mean() + mirrored[[0, 2]].mean() - side) / 2)

    assert abs(np.mean(asymmetries)) < 0.25


def test_a_classifier_returns_probabilities_for_each_face(gender: Classifier) -> None:
    boxes = np.array(list(TINY_FACES), np.float32)

    probabilities = gender.classify(draw(faces=TINY_FACES), boxes)

    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities[:, 0], [0.5, 0.0047, 0.9953], atol=1e-3)


def test_without_boxes_there_are_no_probabilities(gender: Classifier) -> None:
    assert gender.classify(draw(), np.empty((0, 4), np.float32)).shape == (0, 2)


@pytest.mark.parametrize(("width", "height"), [(384, 384), (387, 391), (1537, 769), (1536, 770)])
def test_boxes_are_at_the_faces_whatever_the_size_of_the_image(detector: FaceDetector, width: int, height: int) -> None:
    """One prior of the tiny net covers the pixels 60 to 84 of 96."""
    first, last = 60 / 96, 84 / 96
    face = (round(first * width), round(first * height), round(last * width), round(last * height))

    found = detector.detect(draw(width, height, {face: MAGENTA}), (96, 96))

    best = found.boxes[found.confidences.argmax()]
    # The tiny net returns its prior as the box. The face is up to 3 pixels off where odd rows were dropped.
    np.testing.assert_allclose(best, face, atol=3.5)


@pytest.mark.parametrize("count", [2, CROPS_PER_BATCH, CROPS_PER_BATCH + 1, 3 * CROPS_PER_BATCH])
def test_faces_are_classified_together_as_separately(gender: Classifier, count: int) -> None:
    random = np.random.default_rng(count)
    pixels = random.integers(0, 256, (200, 200, 3), np.uint8)
    corners = random.uniform(0, 150, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(5, 50, (count, 2))]).astype(np.float32)

    together = gender.classify(pixels, boxes)

    alone = np.concatenate([gender.classify(pixels, boxes[index : index + 1]) for index in range(count)])
    np.testing.assert_array_equal(together, alone)


def test_a_net_gets_one_face_at_a_time_so_that_its_input_size_never_changes(
    gender: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = Mock(wraps=classifier.infer_together)
    monkeypatch.setattr(classifier, "infer_together", infer)

    gender.classify(draw(faces=TINY_FACES), np.array(list(TINY_FACES), np.float32))

    assert [len(call.args[1]) for call in infer.call_args_list] == [1, 1, 1]


@pytest.mark.parametrize("swap_rb", [False, True])
def test_the_input_of_a_net_is_scaled_as_its_manifest_says(tiny_pack: Path, swap_rb: bool) -> None:
    spec = replace(read_pack(tiny_pack).gender, mean=(104.5, 117.25, 123.0), scale=0.017, swap_rb=swap_rb)
    pixels = np.random.default_rng(0).integers(0, 256, (*spec.input, 3), np.uint8)
    gender = Classifier(spec)

    result = gender.classify(pixels, box(0, 0, *spec.input)[None])

    crop = square_crop(pixels, box(0, 0, *spec.input), spec.crop_scale, spec.input)
    channels = (crop[..., ::-1] if swap_rb else crop).astype(np.float32)
    gender.net.setInput(
        ((channels - np.array(spec.mean, np.float32)) * np.float32(spec.scale)).transpose(2, 0, 1)[None]
    )
    np.testing.assert_allclose(result, np.asarray(gender.net.forward()).reshape(1, -1), rtol=1e-5)


@pytest.mark.parametrize("crop_scale", [1.0, 1.5])
def test_classifiers_give_the_same_results_together_as_separately(tiny_pack: Path, crop_scale: float) -> None:
    """With equal crop scales the tiny gender and age nets share their preprocessing, with others they do not."""
    pack = read_pack(tiny_pack)
    gender, age = Classifier(pack.gender), Classifier(replace(pack.age, crop_scale=crop_scale))
    pixels, boxes = draw(faces=TINY_FACES), np.array(list(TINY_FACES), np.float32)

    genders, ages = classify_by_all((gender, age), pixels, boxes)

    np.testing.assert_array_equal(genders, gender.classify(pixels, boxes))
    np.testing.assert_array_equal(ages, age.classify(pixels, boxes))


@pytest.mark.parametrize(("crop_scale", "cuts"), [(1.0, 3), (1.5, 6)])
def test_nets_with_the_same_preprocessing_share_crops(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch, crop_scale: float, cuts: int
) -> None:
    pack = read_pack(tiny_pack)
    nets = Classifier(pack.gender), Classifier(replace(pack.age, crop_scale=crop_scale))
    cut = Mock(side_effect=square_crop)
    monkeypatch.setattr("visage.nets.classifier.square_crop", cut)

    classify_by_all(nets, draw(faces=TINY_FACES), np.array(list(TINY_FACES), np.float32))

    assert cut.call_count == cuts


def test_a_result_is_not_overwritten_by_the_next(gender: Classifier) -> None:
    pixels = draw(faces=TINY_FACES)
    boxes = np.array(list(TINY_FACES), np.float32)
    first = gender.classify(pixels, boxes[1:2])
    copy = first.copy()

    gender.classify(pixels, boxes[2:3])

    np.testing.assert_array_equal(first, copy)


def test_a_wrong_number_of_labels_is_an_error(tiny_pack: Path) -> None:
    spec = replace(read_pack(tiny_pack).gender, labels=("Male", "Female", "Other"))

    with pytest.raises(PackError, match=r"gives 2 values a face, but its manifest names 3 labels"):
        Classifier(spec).classify(draw(), np.array([[0, 0, 9, 9]], np.float32))


def test_a_net_that_is_no_ssd_is_an_error(tiny_pack: Path) -> None:
    pack = read_pack(tiny_pack)
    spec = replace(pack.face, prototxt=pack.gender.prototxt, weights=pack.gender.weights, input=(16, 16))

    with pytest.raises(PackError, match="is no SSD"):
        FaceDetector(spec).detect(draw(), (16, 16))


def test_the_error_names_files_that_opencv_cannot_read(tiny_pack: Path) -> None:
    pack = read_pack(tiny_pack)
    spec = replace(pack.gender, weights=pack.face.prototxt)

    with pytest.raises(PackError, match=r"OpenCV cannot read .*gender\.prototxt with .*face\.prototxt"):
        Classifier(spec)


def test_prior_steps_that_are_true_strides_are_kept() -> None:
    prototxt = b"prior_box_param { step: 8 } prior_box_param { step: 16.0 } prior_box_param {\n step: 64\n}"

    assert correct_prior_steps(prototxt) == prototxt


def test_prior_steps_that_fit_one_input_size_only_are_removed() -> None:
    prototxt = b"min_size: 213.0\n    step: 100\n    offset: 0.5\n min_size: 264.0\n step: 300\n"

    assert re.findall(rb"step|100|300", correct_prior_steps(prototxt)) == []


def test_a_convolution_keeps_its_stride() -> None:
    prototxt = b"convolution_param { kernel_size: 3 stride: 3 }"

    assert correct_prior_steps(prototxt) == prototxt


def test_a_crop_is_the_scaled_square_around_the_box() -> None:
    pixels = draw(200, 200, {(60, 60, 140, 140): MAGENTA})

    crop = square_crop(pixels, box(80, 90, 120, 110), 2.0, (40, 40))

    np.testing.assert_array_equal(crop, np.full((40, 40, 3), MAGENTA, np.uint8))


def test_a_crop_beyond_the_edge_repeats_the_pixels_at_the_edge() -> None:
    pixels = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3))

    crop = square_crop(pixels, box(80, 40, 120, 80), 1.0, (40, 40))

    assert crop.shape == (40, 40, 3)
    assert (crop[:, 20:] == 99).all()
    np.testing.assert_array_equal(crop[0, :20, 0], np.arange(80, 100))


@pytest.mark.parametrize(
    "edges", [(0, 0, 1, 1), (-50, -50, -10, -10), (99, 99, 100, 100), (0, 0, 100, 3), (-1000, -1000, 1000, 1000)]
)
def test_a_crop_always_has_the_input_size_of_the_net(edges: tuple[float, ...]) -> None:
    pixels = draw(100, 100)

    assert square_crop(pixels, box(*edges), 1.5, (16, 24)).shape == (24, 16, 3)


def test_a_net_gets_channels_in_the_order_of_its_manifest(tiny_pack: Path) -> None:
    spec = read_pack(tiny_pack).gender
    boxes = np.array([[0, 0, 50, 50]], np.float32)
    red = np.full((50, 50, 3), (0, 0, 255), np.uint8)

    as_bgr = Classifier(spec).classify(red, boxes)
    as_rgb = Classifier(replace(spec, swap_rb=True)).classify(red, boxes)

    np.testing.assert_allclose(as_bgr, as_rgb[:, ::-1], atol=1e-6)
    assert as_bgr[0, 1] > 0.99


def test_opencv_still_reads_caffe() -> None:
    assert hasattr(cv2.dnn, "readNetFromCaffe")
