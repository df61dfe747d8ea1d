"""Crops of FairFace's chips, for training and for evaluation."""

import cv2
import numpy as np

from training.faces import CHIP, CROP_SCALE, CROP_SHIFT, FACE_BOX, plain_crops, training_crop
from visage.nets.crops import shift_box, square_crop


def test_plain_crops_are_those_that_visage_cuts() -> None:
    chip = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (CHIP, CHIP, 3), np.uint8), (0, 0), 4)

    found = plain_crops(chip[None].astype(np.uint8), 80)[0]

    box = shift_box(np.array(FACE_BOX, np.float32), CROP_SHIFT)
    expected = square_crop(chip.astype(np.uint8), box, CROP_SCALE, (80, 80))
    assert np.abs(found.astype(int) - expected).mean() < 1


def test_training_crops_have_one_size_and_differ_by_seed() -> None:
    chip = np.random.default_rng(2).integers(0, 256, (CHIP, CHIP, 3), np.uint8)

    crops = [training_crop(chip, 56, np.random.default_rng(seed)) for seed in range(40)]

    assert {crop.shape for crop in crops} == {(56, 56, 3)}
    assert len({crop.tobytes() for crop in crops}) == 40
