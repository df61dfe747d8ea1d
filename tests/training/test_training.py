"""Training: cv2.dnn answers as torch does, and nothing that is measured was trained on.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from training import caffe, detector, export, models, tracing  # noqa: E402
from training.attributes import SIDE, start_student  # noqa: E402
from training.faces import CHIP, CROP_SCALE, FACE_BOX, plain_crops, training_crop  # noqa: E402
from training.run import Run  # noqa: E402
from training.scenes import Composer, Sample, Scene, split  # noqa: E402
from visage.faces.analyzer import Analyzer  # noqa: E402
from visage.nets.crops import square_crop  # noqa: E402
from visage.packs.pack import read_pack  # noqa: E402

TOLERANCE = 1e-4
COMPACT = Path(__file__).parent.parent.parent / "models" / "compact"


class TinyNet(nn.Module):
    """Everything that the exporter knows, in the smallest net that holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = models.convolution(3, 8, 3, 2)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.block = models.Residual(8, 12, 2)
        self.lateral = models.convolution(12, 8, 1, relu=False)
        self.upsample = models.UpsampleLike()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.grouped(self.first(pictures))
        deep = self.lateral(self.block(maps))
        logits: Tensor = self.head(self.pool(self.upsample(deep, maps) + maps))
        return logits


def unsettle(net: nn.Module) -> None:
    """Give a fresh net batch norms that are far from doing nothing."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3)
    net.eval()


@pytest.fixture
def tiny_net() -> nn.Module:
    torch.manual_seed(1)
    net = TinyNet()
    unsettle(net)
    nn.init.normal_(net.head.weight)
    return net


def random_faces(count: int, height: int, width: int) -> NDArray[np.float32]:
    """Noise of another colour and strength each, so that a net has something to tell them apart by."""
    random = np.random.default_rng(count)
    colours, strengths = random.uniform(-1, 1, (count, 3, 1, 1)), random.uniform(0, 2, (count, 1, 1, 1))
    return (colours + strengths * random.uniform(-1, 1, (count, 3, height, width))).astype(np.float32)


def read(net: caffe.CaffeNet, *, half: bool) -> cv2.dnn.Net:
    files = (np.frombuffer(content, np.uint8) for content in (net.prototxt(), net.caffemodel(half=half)))
    return cv2.dnn.readNetFromCaffe(*files)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 31), (37, 50)])
def test_cv2_answers_as_torch_does_on_a_hundred_faces(tiny_net: nn.Module, height: int, width: int) -> None:
    faces = random_faces(100, height, width)
    net, outputs = tracing.trace(tiny_net, "tiny", (width, height))
    net.add("Softmax", "probabilities", outputs)
    reader = read(net, half=False)

    reader.setInput(faces)
    answers = reader.forward()

    with torch.no_grad():
        expected = tiny_net(torch.from_numpy(faces)).softmax(1).numpy()
    np.testing.assert_allclose(answers, expected, atol=TOLERANCE)
    assert np.ptp(expected, axis=0).max() > 0.02, "faces that all get one answer prove nothing"


def test_16_bit_weights_are_the_weights_rounded(tiny_net: nn.Module) -> None:
    faces = random_faces(100, 32, 32)
    rounded = tracing.rounded(tracing.fold(tiny_net))
    net, _ = tracing.trace(tiny_net, "tiny", (32, 32))
    reader = read(net, half=True)

    reader.setInput(faces)
    answers = reader.forward()

    with torch.no_grad():
        expected = rounded(torch.from_numpy(faces)).numpy()
    np.testing.assert_allclose(answers, expected, atol=TOLERANCE)


def test_16_bit_weights_take_half_the_bytes(tiny_net: nn.Module) -> None:
    net, _ = tracing.trace(models.student(), "student", (80, 80))

    assert len(net.caffemodel(half=True)) < 0.51 * len(net.caffemodel(half=False))


def test_exporting_leaves_the_net_as_it_was(tiny_net: nn.Module) -> None:
    before = {name: value.clone() for name, value in tiny_net.state_dict().items()}

    tracing.rounded(tracing.fold(tiny_net))
    tracing.trace(tiny_net, "tiny", (32, 32))

    after = tiny_net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sigmoid(),
        nn.Conv2d(3, 4, (1, 3)),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(2),
        nn.Flatten(2),
    ],
)
def test_what_has_no_counterpart_stops_the_export(module: nn.Module) -> None:
    with pytest.raises(TypeError, match="counterpart"):
        tracing.trace(nn.Sequential(module), "odd", (32, 32))


def test_an_operation_that_has_no_counterpart_stops_the_export() -> None:
    class Doubling(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return pictures * 2

    with pytest.raises(TypeError, match="counterpart"):
        tracing.trace(Doubling(), "odd", (32, 32))


@pytest.mark.parametrize(("height", "width"), [(320, 320), (275, 410), (97, 33)])
def test_the_detector_answers_as_torch_does_at_any_size(height: int, width: int) -> None:
    torch.manual_seed(3)
    model = models.FaceNet()
    unsettle(model)
    picture = random_faces(1, height, width)
    net, outputs = tracing.trace(model, "face", (width, height))
    tracing.add_detection(net, outputs)
    reader = read(net, half=False)
    reader.setInput(picture)

    confidences, offsets, priors = (reader.forward(name).copy() for name in ("confidences", "offsets", "priors"))

    with torch.no_grad():
        logits, moves = detector.flatten(model(torch.from_numpy(picture)))
    np.testing.assert_allclose(confidences.reshape(-1, 2), logits[0].softmax(1), atol=TOLERANCE)
    assert np.ptp(confidences) > 0.1, "a net that says the same everywhere proves nothing"
    np.testing.assert_allclose(offsets.reshape(-1, 4), moves[0], atol=TOLERANCE)
    ours = detector.priors(height, width)
    corners = np.concatenate([ours[:, :2] - ours[:, 2:] / 2, ours[:, :2] + ours[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(priors[0, 0].reshape(-1, 4), corners / [width, height, width, height], atol=1e-6)


def test_cv2_decodes_what_training_asks_for_into_the_labelled_boxes() -> None:
    """The last layer of the exported net, given the very answers that training calls right."""
    anchors = detector.priors(320, 320)
    faces = np.array([[20, 30, 50, 70], [150, 100, 290, 280], [200, 10, 216, 30]], np.float32)
    sample = Sample(np.zeros((320, 320, 3), np.uint8), faces, np.empty((0, 4), np.float32))
    labels, offsets = detector.targets(sample, anchors)
    net, outputs = tracing.trace(models.FaceNet(), "face", (320, 320))
    tracing.add_detection(net, outputs)
    blobs = {
        "offsets": offsets.reshape(1, -1),
        "confidences": np.stack([labels != 1, labels == 1], axis=1).astype(np.float32).reshape(1, -1),
        "priors": prior_blob(net),
    }
    inputs = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {side}" for side in blob.shape)} }}\n'
        for name, blob in blobs.items()
    )
    last_layer = cv2.dnn.readNetFromCaffe(np.frombuffer((inputs + net.layers[-1]).encode(), np.uint8))
    for name, blob in blobs.items():
        last_layer.setInput(blob, name)

    rows = last_layer.forward()[0, 0]

    rows = rows[rows[:, 2] > 0]
    assert len(rows) == len(faces)
    found = rows[np.argsort(rows[:, 3]), 3:7] * 320
    np.testing.assert_allclose(found, faces[np.argsort(faces[:, 0])], atol=0.1)


def prior_blob(net: caffe.CaffeNet) -> NDArray[np.float32]:
    """The priors of an exported detector, as its last layer gets them."""
    reader = read(net, half=False)
    reader.setInput(np.zeros((1, 3, net.input[1], net.input[0]), np.float32))
    return np.array(reader.forward("priors"), np.float32)


def test_boxes_that_may_be_faces_are_left_out_of_the_loss() -> None:
    perhaps = np.array([[100, 100, 140, 150]], np.float32)
    sample = Sample(np.zeros((320, 320, 3), np.uint8), np.empty((0, 4), np.float32), perhaps)

    labels, _ = detector.targets(sample, detector.priors(320, 320))

    assert set(labels) == {0, -1}


@pytest.fixture
def scenes() -> list[Scene]:
    """Six hundred made-up scenes of every kind, some with two faces."""
    none = np.empty((0, 4), np.float32)
    two = np.array([[10, 10, 40, 50], [60, 20, 90, 60]], np.float32)
    pixels = np.full((120, 160, 3), 90, np.uint8)
    kinds = ("photo", "people", "cctv", "nature", "indoor")
    return [
        Scene(
            f"{kind}_{index:05}.jpg", pixels, two if kind in ("photo", "people") and index % 2 else none, none, two[:1]
        )
        for kind in kinds
        for index in range(120)
    ]


def test_what_is_measured_was_never_trained_on(scenes: list[Scene]) -> None:
    trained, unseen = split(scenes)

    names = [scene.name for part in unseen.values() for scene in part]
    assert len(names) == len(set(names)) > 0
    assert not {scene.name for scene in trained} & set(names)
    assert len(trained) + len(names) == len(scenes)
    assert [scene.name for scene in unseen["photo"]] == [f"photo_{index:05}.jpg" for index in range(20, 120)]


def test_training_pictures_are_the_same_for_the_same_seed(scenes: list[Scene]) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (4, CHIP, CHIP, 3), np.uint8)
    trained, _ = split(scenes)

    first, again = (Composer(trained, chips, 160).compose(np.random.default_rng(5)) for _ in range(2))

    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.faces, again.faces)


def test_faces_of_training_pictures_lie_inside_them(scenes: list[Scene]) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (4, CHIP, CHIP, 3), np.uint8)
    composer = Composer(split(scenes)[0], chips, 160)

    samples = [composer.compose(np.random.default_rng(seed)) for seed in range(60)]

    faces = np.concatenate([sample.faces for sample in samples])
    assert len(faces) > 60
    assert faces.min() >= 0
    assert faces.max() <= 160
    assert (faces[:, 2:] > faces[:, :2]).all()


def test_crops_are_measured_as_the_service_cuts_them() -> None:
    chip = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (CHIP, CHIP, 3), np.uint8), (0, 0), 4)

    ours = plain_crops(chip[None].astype(np.uint8), 80)[0]

    served = square_crop(chip.astype(np.uint8), np.array(FACE_BOX, np.float32), CROP_SCALE, (80, 80))
    assert np.abs(ours.astype(int) - served).mean() < 1


def test_training_crops_keep_their_size_and_differ_each_time() -> None:
    chip = np.random.default_rng(2).integers(0, 256, (CHIP, CHIP, 3), np.uint8)

    crops = [training_crop(chip, 56, np.random.default_rng(seed)) for seed in range(40)]

    assert {crop.shape for crop in crops} == {(56, 56, 3)}
    assert len({crop.tobytes() for crop in crops}) == 40


def test_the_manifest_that_is_exported_can_be_served(tmp_path: Path) -> None:
    torch.manual_seed(4)
    crops = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    photos = [np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)]
    for role, part in models.PARTS.items():
        export.export_classifier(models.student().state_dict(), role, part, crops, tmp_path)
    export.export_detector(models.FaceNet().state_dict(), photos, tmp_path)
    (tmp_path / "pack.toml").write_text(export.manifest(tmp_path))

    Analyzer(read_pack(tmp_path)).warm_up()


@pytest.mark.parametrize("role", ["gender", "age"])
def test_students_begin_with_what_the_pack_answers(role: str) -> None:
    crops = torch.from_numpy(random_faces(50, SIDE, SIDE))
    student = models.student()

    start_student(student, COMPACT, role, crops)

    reader = caffe.read(COMPACT, role)
    reader.setInput(crops.numpy())
    with torch.no_grad():
        answers = student(crops)[:, models.PARTS[role]].softmax(1).numpy()
    np.testing.assert_allclose(answers, reader.forward(), atol=TOLERANCE)


def test_the_detector_begins_with_what_the_pack_finds() -> None:
    picture = torch.from_numpy(random_faces(1, 96, 160))
    net = models.FaceNet()

    detector.start(net, COMPACT, picture)

    reader = caffe.read(COMPACT, "face")
    reader.setInput(picture.numpy())
    with torch.no_grad():
        logits, _ = detector.flatten(net(picture))
    logits[..., 1] -= detector.RAW_LOGIT
    answers = logits.softmax(2).numpy()
    np.testing.assert_allclose(reader.forward("confidences").ravel(), answers.ravel(), atol=TOLERANCE)


def tiny_run(checkpoint: Path) -> Run:
    torch.manual_seed(3)
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    # No Residual of the picture itself: without AVX-512, PyTorch 2.13's backward of its shortcut (1 x 1, stride 2, of 3
    # channels laid out last) writes beyond its memory. The nets that are trained have 16 channels there and more.
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), models.Residual(8, 8, 2), *last)
    return Run({"tiny": net}, checkpoint, total_steps=40, peak_rate=0.1, kernel_rate=0.05)


def step(run: Run, number: int) -> float:
    """One step towards telling bright noise from dark noise."""
    faces = random_faces(16, 12, 12) + np.float32(number % 3 / 10)
    labels = torch.from_numpy((faces.mean((1, 2, 3)) > 0).astype(np.int64))
    return run.step(functional.cross_entropy(run.nets["tiny"](torch.from_numpy(faces)), labels))


def test_a_run_learns(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run.pt")
    run.train()

    losses = [step(run, number) for number in range(40)]

    assert np.mean(losses[:5]) > math.log(2), "what guessing costs"
    assert np.mean(losses[-5:]) < 0.8 * math.log(2)


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    straight = tiny_run(tmp_path / "straight.pt")
    straight.train()
    for number in range(20):
        step(straight, number)

    cut = tiny_run(tmp_path / "cut.pt")
    cut.train()
    for number in range(10):
        step(cut, number)
    cut.save()
    resumed = tiny_run(tmp_path / "cut.pt")
    resumed.train()
    for number in range(10, 20):
        step(resumed, number)

    expected, found = (run.means["tiny"].state_dict() for run in (straight, resumed))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_an_export_that_answers_otherwise_stops(difference: float) -> None:
    expected = np.zeros((1, 2), np.float32)

    with pytest.raises(SystemExit, match="exported wrongly"):
        export.agree("age", expected + np.float32(difference), expected)
