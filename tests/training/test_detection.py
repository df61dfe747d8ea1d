"""Distillation of the face net: what the teachers agree on, what pictures show, which cell answers for which face."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: make test-training installs it")

from torch import Tensor  # noqa: E402

from tests.training.torch_nets import randomize_face_net  # noqa: E402
from training import caffe  # noqa: E402
from training.attributes import to_tensor  # noqa: E402
from training.detection import export, labels, loss, net  # noqa: E402
from training.detection.labels import LabelledPhoto, Labels, agreement  # noqa: E402
from training.detection.pictures import Composer, Picture, cut  # noqa: E402
from training.detection.teachers import NOTHING, mirrored  # noqa: E402
from training.run import Run  # noqa: E402
from visage.nets.detector import FaceDetector  # noqa: E402
from visage.packs.files import PackFile  # noqa: E402
from visage.packs.pack import FaceSpec  # noqa: E402

SIDE = 128
BACKGROUND, FACE = 60, 220


def seen(score: float, left: float = 10) -> NDArray[np.float32]:
    """What one teacher says of one face."""
    points = [left + 5, 15, left + 15, 15, left + 10, 20, left + 5, 25, left + 15, 25]
    return np.array([[score, left, 10, left + 20, 34, *points]], np.float32)


@pytest.mark.parametrize(
    ("plain", "mirror", "second", "faces", "ignored"),
    [
        (0.9, 0.8, 0.9, 1, 0),
        (0.6, 0.1, 0.4, 1, 0),
        (0.75, 0.1, 0.1, 1, 0),
        (0.5, 0.3, 0.1, 0, 1),  # one teacher alone
        (0.3, 0.3, 0.4, 0, 0),  # hands and text are background
        (0.1, 0.1, 0.8, 0, 1),  # the other one alone
        (0.15, 0.1, 0.2, 0, 0),
    ],
)
def test_what_teachers_agree_on_is_a_face_and_what_one_believes_is_ignored(
    plain: float, mirror: float, second: float, faces: int, ignored: int
) -> None:
    found = agreement(seen(plain), seen(mirror), seen(second))

    assert (len(found.faces), len(found.ignored)) == (faces, ignored)


def test_faces_at_different_places_stay_two() -> None:
    both = np.concatenate([seen(0.9), seen(0.9, left=60)])

    assert len(agreement(both, both, NOTHING).faces) == 2


def test_a_mirrored_row_swaps_left_and_right() -> None:
    (row,) = mirrored(seen(0.9), 100)

    np.testing.assert_allclose(row[1:5], [70, 10, 90, 34])
    np.testing.assert_allclose(row[5:9], [75, 15, 85, 15])
    np.testing.assert_allclose(mirrored(mirrored(seen(0.9), 100), 100), seen(0.9))


def test_labels_survive_their_file(tmp_path: Path) -> None:
    written = {
        "a.jpg": Labels(seen(1)[:, 1:], np.zeros((0, 4), np.float32)),
        "b.jpg": Labels(np.zeros((0, 14), np.float32), np.array([[1, 2, 3, 4]], np.float32)),
        "c.jpg": Labels(np.concatenate([seen(1)[:, 1:]] * 3), np.zeros((0, 4), np.float32)),
    }

    labels.save(tmp_path / "labels.npz", written)
    read = labels.load(tmp_path / "labels.npz")

    assert list(read) == list(written)
    for name, expected in written.items():
        np.testing.assert_array_equal(read[name].faces, expected.faces)
        np.testing.assert_array_equal(read[name].ignored, expected.ignored)


@pytest.fixture
def photo() -> LabelledPhoto:
    """400 x 300, a bright face of 60 x 80 with its landmarks."""
    pixels = np.full((300, 400, 3), BACKGROUND, np.uint8)
    pixels[100:180, 150:210] = FACE
    face = np.array([[150, 100, 210, 180, 165, 125, 195, 125, 180, 140, 165, 160, 195, 160]], np.float32)
    return LabelledPhoto(cv2.imencode(".png", pixels)[1].tobytes(), Labels(face, np.zeros((0, 4), np.float32)))


@pytest.mark.parametrize("seed", range(12))
def test_landmarks_of_a_part_lie_on_its_face(photo: LabelledPhoto, seed: int) -> None:
    part = cut(photo.decode(), photo, SIDE, np.random.default_rng(seed))

    for x, y in part.faces[0, 4:].reshape(5, 2):
        if 2 <= x < SIDE - 2 and 2 <= y < SIDE - 2:
            assert part.pixels[round(float(y)), round(float(x))].mean() > (BACKGROUND + FACE) / 2


@pytest.mark.parametrize("seed", range(12))
def test_the_box_of_a_part_holds_its_landmarks(photo: LabelledPhoto, seed: int) -> None:
    (face,) = cut(photo.decode(), photo, SIDE, np.random.default_rng(seed)).faces

    points = face[4:].reshape(5, 2)
    assert (points > face[:2]).all()
    assert (points < face[2:4]).all()


def test_the_box_of_a_part_is_centred_on_its_face() -> None:
    """Labels that were a pixel off in mirrored parts made the net find all faces half a pixel too far left."""
    rows, columns = np.mgrid[:300, :400] + 0.5
    disc = ((columns - 180) ** 2 + (rows - 140) ** 2 < 30**2).astype(np.uint8) * 255
    face = np.array([[140, 100, 220, 180, *[180, 140] * 5]], np.float32)
    photo = LabelledPhoto(b"", Labels(face, np.zeros((0, 4), np.float32)))
    parts = [cut(cv2.merge([disc] * 3), photo, SIDE, np.random.default_rng(seed)) for seed in range(60)]
    whole = [part for part in parts if part.faces[0, :4].min() >= 0 and part.faces[0, :4].max() <= SIDE]

    offsets = [centre_of_light(part.pixels, part.faces[0, :4]) - middle(part.faces[0, :4]) for part in whole]

    assert len(offsets) >= 20
    np.testing.assert_allclose(offsets, 0, atol=0.3)


def centre_of_light(pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float64]:
    """x and y of the centre of mass of the light pixels in a box. The first pixel reaches from 0 to 1."""
    left, top, right, bottom = np.rint(box).astype(int)
    moments = cv2.moments(pixels[top:bottom, left:right, 0])
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5 + (left, top)


def middle(box: NDArray[np.float32]) -> NDArray[np.float64]:
    return (box[:2].astype(np.float64) + box[2:]) / 2


def test_pictures_are_the_same_for_the_same_generator(photo: LabelledPhoto) -> None:
    first, second = (Composer([photo]).pictures(4, SIDE, np.random.default_rng(1)) for _ in range(2))

    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert torch.equal(one.faces, other.faces)


def test_pictures_show_faces_inside_their_borders(photo: LabelledPhoto) -> None:
    pictures = Composer([photo]).pictures(40, SIDE, np.random.default_rng(2))

    boxes = torch.cat([picture.faces[:, :4] for picture in pictures])
    assert len(boxes) > 20
    assert boxes.min() >= 0
    assert boxes.max() <= SIDE


def picture(*boxes: tuple[float, ...], ignored: tuple[float, ...] | None = None) -> Picture:
    faces = torch.tensor([[*box, *([0.0] * 10)] for box in boxes]).reshape(-1, 14)
    left_out = torch.tensor([ignored] if ignored else []).reshape(-1, 4)
    return Picture(np.zeros((SIDE, SIDE, 3), np.uint8), faces, torch.ones(len(faces)), left_out)


def assigned(labelled: Picture) -> tuple[Tensor, Tensor]:
    """What a fresh net's cells answer for."""
    centres, strides = net.cells(SIDE, SIDE)
    boxes = net.decode_boxes(torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(centres), 4), centres, strides)
    return loss.assign(torch.full((len(centres),), -4.0), boxes, labelled, centres, strides)


def test_every_face_has_a_cell_that_answers_for_it() -> None:
    faces = ((10, 10, 17, 17), (60, 60, 100, 110), (20, 90, 32, 105))

    answers, _ = assigned(picture(*faces))

    assert set(answers.tolist()) == {-1, 0, 1, 2}


def test_larger_faces_are_answered_for_by_larger_cells() -> None:
    _, strides = net.cells(SIDE, SIDE)

    small, _ = assigned(picture((40, 40, 56, 56)))
    large, _ = assigned(picture((4, 4, 124, 124)))

    assert strides[small >= 0].max() < strides[large >= 0].min()


def test_cells_in_an_ignored_box_are_left_out_unless_they_answer_for_a_face() -> None:
    centres, _ = net.cells(SIDE, SIDE)

    answers, ignored = assigned(picture((40, 40, 80, 80), ignored=(30, 30, 90, 90)))

    inside = ((centres > 30) & (centres < 90)).all(1)
    assert bool((ignored | (answers >= 0))[inside].all())
    assert not bool((ignored & (answers >= 0)).any())


def test_a_perfect_box_loses_nothing() -> None:
    boxes = torch.tensor([[10.0, 10, 50, 60], [0, 0, 8, 8]])

    assert float(loss.eiou(boxes, boxes).abs().max()) < 1e-5
    assert float(loss.eiou(boxes, boxes + 5).min()) > 0.1


def test_the_loss_falls_when_the_net_learns_one_picture(tmp_path: Path) -> None:
    torch.manual_seed(3)
    run = Run({"face": net.FaceNet(net.LARGE)}, tmp_path / "face.pt", 400, 2e-3, adaptive=True)
    labelled = picture((40, 40, 88, 88))
    blob = torch.zeros(1, 3, SIDE, SIDE)
    blob[:, :, 40:88, 40:88] = 1
    run.train()

    values = [
        run.step(loss.losses(run.nets["face"](blob), [labelled], *net.cells(SIDE, SIDE)).total) for _ in range(60)
    ]

    assert np.mean(values[-5:]) < 0.5 * np.mean(values[:5])


@pytest.fixture(scope="module")
def settled() -> net.FaceNet:
    """A net whose layers all do something, and whose scores differ from place to place."""
    torch.manual_seed(5)
    face_net = net.FaceNet(net.LARGE)
    randomize_face_net(face_net)
    for score in face_net.scores:
        torch.nn.init.constant_(score.bias, -4)
    return face_net


def test_cv2_answers_as_torch_does_in_scores_boxes_and_landmarks(settled: net.FaceNet, tmp_path: Path) -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (2, 100, 150, 3), np.uint8))

    caffe.write(tmp_path, "face", export.trace(settled, logit_shift=1))

    assert export.difference(settled, tmp_path, pictures, logit_shift=1) < 1e-3
    assert export.difference(settled, tmp_path, pictures, logit_shift=0) > 0.9


def face_spec(folder: Path) -> FaceSpec:
    """The manifest of the face net in `folder`, with the preprocessing of training."""
    prototxt, weights = (
        PackFile(path, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in (folder / "face.prototxt", folder / "face.caffemodel")
    )
    return FaceSpec(
        prototxt,
        weights,
        input=(320, 320),
        mean=(127.5, 127.5, 127.5),
        scale=1 / 127.5,
        swap_rb=False,
        min_confidence=0.5,
        smallest_face=10,
        redaction_confidence=0.25,
        strides=net.STRIDES,
    )


def test_the_service_finds_the_faces_that_training_decodes(settled: net.FaceNet, tmp_path: Path) -> None:
    """In a picture that the detector neither resizes nor pads, with sides that the strides do not divide."""
    picture = np.random.default_rng(1).integers(0, 256, (150, 228, 3), np.uint8)
    with torch.no_grad():
        logits, boxes, landmarks = net.flatten(settled(to_tensor(picture[None])))
    grid = net.cells(150, 228)
    decoded = net.decode_boxes(boxes[0], *grid).numpy().clip(0, np.array([228, 150] * 2))
    # The detector drops boxes with hardly an area, as many of a random net are at the border.
    has_area = (decoded[:, 2:] - decoded[:, :2]).min(axis=1) >= 2
    best = int(np.where(has_area, logits[0].numpy(), -np.inf).argmax())
    # With this shift the best box has a confidence of 0.5. A random net's are 0 or 1 without.
    caffe.write(tmp_path, "face", export.trace(settled, logit_shift=float(logits[0, best])), half=False)

    found = FaceDetector(face_spec(tmp_path)).detect(picture, (228, 150))

    assert found.landmarks is not None
    assert found.confidences[0] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(found.boxes[0], decoded[best], atol=0.01)
    np.testing.assert_allclose(found.landmarks[0], net.decode_landmarks(landmarks[0], *grid)[best].numpy(), atol=0.01)


def test_a_shifted_score_moves_the_threshold_and_no_box(settled: net.FaceNet, tmp_path: Path) -> None:
    blob = torch.randn(1, 3, 96, 96).numpy()
    answers = []
    for shift in (0.0, 1.0):
        caffe.write(tmp_path, "face", export.trace(settled, shift), half=False)
        reader = caffe.read(tmp_path, "face")
        reader.setInput(blob)
        answers.append(reader.forward("stride_16").copy())

    np.testing.assert_allclose(answers[0][:, 0] - answers[1][:, 0], 1, atol=1e-3)
    np.testing.assert_array_equal(answers[0][:, 1:], answers[1][:, 1:])
