"""Downscaling, upscaling and PSNR: those of Pillow, OpenCV and the literature.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

from functools import partial

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from PIL import Image  # noqa: E402
from torch.nn import functional  # noqa: E402

from training.resampling import SCALE, downscale, psnr, upscale, upscale_bicubic  # noqa: E402


def test_with_antialiasing_images_are_downscaled_like_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)

    found = downscale(torch.from_numpy(pixels)[None, None] / 255)[0, 0] * 255

    expected = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BICUBIC), np.float32)
    assert np.abs(found.numpy() - expected).max() < 1.01, "a difference of one is rounding"


def test_without_antialiasing_images_are_resampled_like_opencv() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)

    small = downscale(torch.from_numpy(pixels)[None, None] / 255, antialias=False)
    large = upscale(partial(upscale_bicubic, antialias=False), small)[0, 0] * 255

    expected_small = cv2.resize(pixels, (30, 20), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(small[0, 0] * 255, expected_small, atol=1e-3)
    expected_large = cv2.resize(expected_small, (90, 60), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    assert np.abs(large.numpy() - expected_large).max() < 1.01, "a difference of one is rounding"


def test_the_psnr_of_an_error_of_one_is_48_decibels() -> None:
    plane = np.full((30, 30), 77, np.uint8)
    off_by_one = functional.pixel_unshuffle(torch.full((1, 1, 78, 78), 78 / 255), SCALE)

    score = psnr(lambda _: off_by_one, [plane])

    assert score == pytest.approx(20 * np.log10(255), abs=1e-3)
