"""Distillation of gender and age: features once, honest teachers, the loss, a limit of time, calibrated ages.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: make test-training installs it")

from torch import Tensor, nn  # noqa: E402

from training import models  # noqa: E402
from training.detection.labels import Labels  # noqa: E402
from training.distillation import calibrate, components, ensemble, features, heads, photos, students  # noqa: E402
from training.distillation.features import Features  # noqa: E402
from training.distillation.loss import Targets, group_weights, loss_of  # noqa: E402
from training.distillation.mobilenet import FEATURES, MobileNet  # noqa: E402
from training.faces import AGES, CHIP, FACE_BOX, Faces  # noqa: E402
from training.run import Run  # noqa: E402
from training.scores import MIDDLE_YEARS, Answers, score  # noqa: E402

OVER_70 = AGES.index("70+")


def random_chips(count: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, CHIP, CHIP, 3), np.uint8)


def faces_of(ages: NDArray[np.int64]) -> Faces:
    return Faces(random_chips(len(ages)), ages, ages % 2, ages % 7)


def certain(genders: NDArray[np.int64], ages: NDArray[np.int64]) -> Answers:
    return Answers(np.eye(2, dtype=np.float32)[genders], np.eye(len(AGES), dtype=np.float32)[ages])


def test_features_are_extracted_once_and_of_mirrored_chips_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "PART", 2)
    net, chips = MobileNet().eval(), random_chips(3)
    features.extract(net, chips, tmp_path, side=32)
    capsys.readouterr()

    features.extract(net, chips, tmp_path, side=32)
    features.extract(net, chips[:, :, ::-1].copy(), tmp_path / "mirrored", side=32)

    assert capsys.readouterr().out.count(str(tmp_path / "0000")) == 0
    found, other = features.read(tmp_path, 3), features.read(tmp_path / "mirrored", 3)
    np.testing.assert_array_equal(found.mirrored, other.plain)
    with pytest.raises(ValueError, match="features of 3 chips, not of 4"):
        features.read(tmp_path, 4)


def test_the_answer_for_a_training_chip_is_that_of_the_head_that_did_not_see_it() -> None:
    known = Features(*(np.ones((4, FEATURES), np.float16) for _ in range(2)))
    nets = [heads.head().eval() for _ in range(2)]

    found = heads.answers(nets, known, np.array([0, 1, 1, 0]))

    first, second = (heads.answers_of(net, known).ages for net in nets)
    np.testing.assert_array_equal(found.ages, np.stack([first[0], second[1], second[2], first[3]]))


def test_a_head_learns_what_its_faces_have() -> None:
    ages = np.arange(300) % len(AGES)
    values = np.zeros((300, FEATURES), np.float16)
    values[np.arange(300), ages] = 4
    torch.manual_seed(1)

    net = heads.train(Features(values, values), faces_of(ages), np.arange(200), epochs=40)

    unseen = Features(values[200:], values[200:])
    assert (heads.answers_of(net, unseen).ages.argmax(1) == ages[200:]).mean() > 0.95


def test_soft_labels_are_kept(tmp_path: Path) -> None:
    answers = certain(np.array([0, 1]), np.array([3, 8]))

    ensemble.save(answers, tmp_path / "soft.npz")

    found = ensemble.load(tmp_path / "soft.npz")
    np.testing.assert_array_equal(found.genders, answers.genders)
    np.testing.assert_array_equal(found.ages, answers.ages)


@pytest.mark.parametrize("degrees", [0, 60, 180])
def test_a_chip_of_a_photo_is_upright_and_has_its_face_where_fairface_has_it(degrees: int) -> None:
    # White, with a black square in the box's upper half; the landmarks lie in the turned face.
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([200.0, 200.0])
    rows, columns = np.mgrid[:400, :400]
    upright = np.stack([columns - 200, rows - 200], -1) @ turn
    photo = np.full((400, 400, 3), 255, np.uint8)
    photo[(np.abs(upright[..., 0]) < 30) & (np.abs(upright[..., 1] + 40) < 30)] = 0
    points = np.array([[-30, -30], [30, -30], [0, 0], [-20, 40], [20, 40]]) @ turn.T + centre
    face = np.concatenate([[110, 100, 290, 300], points.ravel()]).astype(np.float32)

    chip = photos.chips_of(photo, Labels(face[None], np.zeros((0, 4), np.float32)))[0]

    middle = np.argwhere(chip[..., 0] < 128).mean(0)
    scale = (FACE_BOX[3] - FACE_BOX[1]) / 200
    expected = [(FACE_BOX[1] + FACE_BOX[3]) / 2 - 40 * scale, CHIP / 2]
    np.testing.assert_allclose(middle, expected, atol=1.5)


def test_small_faces_become_no_chips() -> None:
    face = np.array([[10, 10, 40, 45, *range(10)]], np.float32)

    found = photos.chips_of(random_chips(1)[0], Labels(face, np.zeros((0, 4), np.float32)))

    assert found.shape == (0, CHIP, CHIP, 3)


def test_scores_name_every_age_group() -> None:
    ages = np.array([1, 1, 8])

    found = score(certain(np.array([1, 0, 0]), np.array([1, 2, 6])), faces_of(ages))

    assert found["gender 3-9"] == 0.5
    assert found["years 70+"] == pytest.approx(MIDDLE_YEARS[8] - MIDDLE_YEARS[6])
    assert (found["age"], found["within_one"]) == (0.333, 0.667)


def targets(*, labelled: bool, gender: int = 0, age: int = 4) -> Targets:
    soft = torch.full((1, 2), 0.5), torch.full((1, len(AGES)), 1 / len(AGES))
    return Targets(torch.tensor([labelled]), torch.tensor([gender]), torch.tensor([age]), *soft, torch.zeros(1, 0))


def test_a_face_without_labels_is_learned_from_soft_labels_alone() -> None:
    logits = torch.randn(1, models.OUTPUT_COUNT, generator=torch.Generator().manual_seed(1))
    group = torch.ones(len(AGES))

    first, second = (
        loss_of(logits, targets(labelled=False, gender=gender, age=age), group) for gender, age in ((0, 2), (1, 8))
    )

    assert first == second > 0
    assert loss_of(torch.zeros_like(logits), targets(labelled=False), group) < 1e-6


def test_rare_age_groups_weigh_more() -> None:
    ages = np.repeat([3, OVER_70], [90, 10])

    found = group_weights(ages)

    assert found[OVER_70] == pytest.approx(3 * float(found[3]))
    assert float(found[ages].mean()) == pytest.approx(1)


def rare_old_faces() -> tuple[Tensor, Tensor]:
    """Logits of a net that confuses 60-69 and 70+, of which the first is ten times as frequent."""
    rng = np.random.default_rng(3)
    ages = torch.from_numpy(np.repeat([7, OVER_70], [1000, 100]))
    logits = torch.full((len(ages), len(AGES)), -8.0)
    logits[:, 7] = 2.3
    logits[:, OVER_70] = torch.from_numpy(rng.normal(0, 1, len(ages))) + (ages == OVER_70) * 1.5
    return logits, ages


def test_calibration_makes_the_rarest_group_as_old_as_it_is() -> None:
    logits, ages = rare_old_faces()

    def error(values: Tensor) -> float:
        years = values[ages == OVER_70].softmax(1) @ torch.from_numpy(MIDDLE_YEARS)
        return float(MIDDLE_YEARS[OVER_70] - years.mean())

    assert error(calibrate.fit(logits, ages, years=1.0)(logits)) < 0.6 * error(logits)


def test_a_folded_calibration_gives_the_calibrated_logits() -> None:
    head = nn.Linear(6, models.OUTPUT_COUNT)
    values = torch.randn(5, 6)
    calibration = calibrate.Calibration(1.5, torch.arange(len(AGES)).float())
    with torch.no_grad():
        before = head(values)

        calibration.fold(head)

        after = head(values)
    torch.testing.assert_close(after[:, models.AGE], calibration(before[:, models.AGE]))
    torch.testing.assert_close(after[:, models.GENDER], before[:, models.GENDER])


def test_components_keep_what_differs_most() -> None:
    rng = np.random.default_rng(4)
    values = (rng.normal(size=(2000, FEATURES)) * np.where(np.arange(FEATURES) < components.COUNT, 3, 0.1)).astype(
        np.float16
    )
    known = Features(values, values)

    projected = components.fit(known).project(known).astype(np.float32)

    assert projected.shape == (2000, components.COUNT)
    assert projected.var(0).sum() == pytest.approx(1, abs=0.01)
    kept = values[:, : components.COUNT].astype(np.float32)
    between = [np.linalg.norm(each[:50, None] - each[None, 50:100], axis=2).ravel() for each in (projected, kept)]
    assert np.corrcoef(*between)[0, 1] > 0.99


def known_chips(count: int, ages: NDArray[np.int64]) -> students.Known:
    shape = count, components.COUNT
    return students.Known(
        random_chips(count), certain(ages % 2, ages), np.random.default_rng(5).normal(size=shape).astype(np.float16)
    )


def material() -> students.Material:
    ages = np.arange(40) % len(AGES)
    return students.Material(faces_of(ages), known_chips(40, ages), known_chips(20, np.zeros(20, np.int64)))


def test_a_batch_mixes_labelled_and_unlabelled_faces_and_is_always_the_same() -> None:
    crops, found = material().batch(7, side=56, size=20)
    again, _ = material().batch(7, side=56, size=20)

    assert crops.equal(again)
    assert crops.shape == (20, 3, 56, 56)
    assert int(found.labelled.sum()) == 14
    assert (found.soft_ages[~found.labelled].argmax(1) == 0).all()
    assert found.features.shape == (20, components.COUNT)


def test_a_batch_may_have_labelled_faces_only() -> None:
    _, found = students.Material(material().faces, material().known).batch(7, side=56, size=20)

    assert found.labelled.all()


def test_a_run_goes_on_with_the_time_that_it_has_left(tmp_path: Path) -> None:
    def run() -> Run:
        return Run({"attributes": students.Learner()}, tmp_path / "distilled.pt", 1, 0.01, 0.01)

    first = run()
    students.train(first, material(), seconds=600, workers=1, until=1)
    first.save()

    second = run()

    assert (second.steps, second.seconds) == (1, first.seconds)
    assert first.seconds > 0
    students.train(second, material(), seconds=first.seconds + 1e-3, workers=1, until=100)
    assert second.steps == 2


def test_the_net_of_a_checkpoint_has_its_averaged_weights(tmp_path: Path) -> None:
    run = Run({"attributes": students.Learner()}, tmp_path / "distilled.pt", 1, 0.01, 0.01)
    students.train(run, material(), seconds=600, workers=1, until=1)
    run.save()

    net = calibrate.net_in(tmp_path / "distilled.pt")

    mean = run.means["attributes"]
    crops = torch.from_numpy(np.random.default_rng(6).normal(size=(2, 3, 72, 72)).astype(np.float32))
    with torch.no_grad():
        torch.testing.assert_close(net(crops), mean(crops)[0], rtol=1e-3, atol=1e-3)
