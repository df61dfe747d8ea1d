"""Redaction masks: nothing else changes, and a few averages of a face remain, whatever its size."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import gradient
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.images.boxes import Box

Pixels = NDArray[np.uint8]

MASKS = [Mask(method, shape) for method, shape in product(Method, Shape)]
# Bound for the largest singular value of a square matrix of rounding errors, over the square root of its side: the
# standard deviation of a uniform error (0.29), times two as for every random matrix, times two as a margin.
ROUNDING = 1.2

AVERAGING = [Mask(method, shape) for method, shape in product((Method.BLUR, Method.MOSAIC), Shape)]


def named(mask: Mask) -> str:
    return f"{mask.method.value} {mask.shape.value}"


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Random pixels, none of them black: a mask changes nearly all that it covers."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), np.uint8)


def patchwork(side: int) -> Pixels:
    """Random pixels on 16 x 16 random patches: all averages differ, and all rows of averages differ."""
    patches = cv2.resize(noise(16, 16, seed=2), (side, side), interpolation=cv2.INTER_LINEAR)
    return (noise(side, side) // 4 + patches // 4 * 3).astype(np.uint8)


def changed(before: Pixels, after: Pixels) -> NDArray[np.bool_]:
    """Return (h, w) bool: which pixels differ."""
    return np.asarray((before != after).any(axis=2))


def cells_of(side: int) -> int:
    """Return the number of cells in a row of a mask of `side` pixels."""
    mosaic = redact(gradient(side, side), [Box(0, 0, side, side)], Mask(Method.MOSAIC, Shape.BOX, 1))
    return 1 + int((np.abs(np.diff(mosaic[0].astype(int), axis=0)).sum(axis=1) > 0).sum())


def rank(channel: NDArray[np.uint8]) -> int:
    """Return the rank of one channel (h, w) of an image, without what rounding adds."""
    few = channel[:: len(channel) // 100 + 1].astype(float)
    return int((np.linalg.svd(few, compute_uv=False) > ROUNDING * max(few.shape) ** 0.5).sum())


def shuffled_within_cells(pixels: Pixels, cells: int) -> Pixels:
    """Shuffle the pixels of each cell: the averages stay, the details change."""
    side = len(pixels) // cells
    blocks = pixels.reshape(cells, side, cells, side, 3).swapaxes(1, 2).reshape(cells, cells, side * side, 3)
    shuffled = np.random.default_rng(1).permutation(blocks, axis=2)
    return shuffled.reshape(cells, cells, side, side, 3).swapaxes(1, 2).reshape(pixels.shape)


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_nothing_outside_the_mask_changes(mask: Mask) -> None:
    photo = noise(200, 300)

    redacted = redact(photo, [Box(100, 50, 160, 130)], mask)

    # 1.3 times 60 x 80 around (130, 90).
    outside = np.ones((200, 300), bool)
    outside[38:142, 91:169] = False
    assert not changed(photo, redacted)[outside].any()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_the_whole_face_is_redacted(mask: Mask) -> None:
    photo = noise(200, 300)

    redacted = redact(photo, [Box(100, 50, 160, 130)], mask)

    # The face is the ellipse inside its box.
    y, x = np.mgrid[50:130, 100:160] + 0.5
    face = ((x - 130) / 30) ** 2 + ((y - 90) / 40) ** 2 <= 1
    assert changed(photo, redacted)[50:130, 100:160][face].mean() > 0.99


@pytest.mark.parametrize("method", Method)
def test_a_box_mask_reaches_the_corners(method: Method) -> None:
    photo = noise(200, 300)

    redacted = redact(photo, [Box(100, 50, 160, 130)], Mask(method, Shape.BOX))

    assert changed(photo, redacted)[38:142, 91:169].mean() > 0.97


@pytest.mark.parametrize("method", Method)
def test_an_ellipse_touches_the_edges_of_its_box_but_not_the_corners(method: Method) -> None:
    photo = noise(200, 300)

    inside = changed(photo, redact(photo, [Box(100, 50, 160, 130)], Mask(method, Shape.ELLIPSE)))[38:142, 91:169]

    assert inside[:2].any()
    assert inside[-2:].any()
    assert inside[:, :2].any()
    assert inside[:, -2:].any()
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.02)


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_the_original_pixels_are_not_changed(mask: Mask) -> None:
    photo = noise(100, 100)
    before = photo.copy()

    redact(photo, [Box(20, 20, 80, 80)], mask)

    assert (photo == before).all()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_without_boxes_the_result_is_an_equal_copy(mask: Mask) -> None:
    photo = noise(50, 70)

    redacted = redact(photo, [], mask)

    assert (redacted == photo).all()
    assert not np.shares_memory(redacted, photo)


@pytest.mark.parametrize("scale", [1, 1.3, 2, 3])
def test_the_mask_is_the_box_scaled_around_its_centre(scale: float) -> None:
    photo = noise(400, 400)

    ys, xs = np.nonzero(changed(photo, redact(photo, [Box(180, 160, 220, 240)], Mask(Method.SOLID, Shape.BOX, scale))))

    assert (xs.min(), xs.max() + 1) == pytest.approx((200 - 20 * scale, 200 + 20 * scale), abs=1)
    assert (ys.min(), ys.max() + 1) == pytest.approx((200 - 40 * scale, 200 + 40 * scale), abs=1)


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize(
    "box",
    [Box(0, 0, 40, 50), Box(60, 0, 100, 50), Box(0, 30, 40, 80), Box(60, 30, 100, 80), Box(0, 0, 100, 80)],
    ids=["top left", "top right", "bottom left", "bottom right", "everything"],
)
def test_a_face_at_the_edge_is_redacted_up_to_the_edge(mask: Mask, box: Box) -> None:
    photo = noise(80, 100)

    redacted = redact(photo, [box], mask)

    # Including the corners: a face may be widest where the edge cuts it.
    assert changed(photo, redacted)[box.y1 : box.y2, box.x1 : box.x2].mean() > 0.97


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("box", [Box(0, 0, 1, 80), Box(98, 0, 100, 80), Box(0, 79, 100, 80)])
def test_a_strip_of_a_face_at_the_edge_is_redacted_whole(mask: Mask, box: Box) -> None:
    photo = noise(80, 100)

    redacted = redact(photo, [box], replace(mask, scale=1.0))

    assert changed(photo, redacted)[box.y1 : box.y2, box.x1 : box.x2].mean() > 0.97


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(4, 4, 5, 5), Box(8, 6, 9, 7), Box(0, 3, 9, 4), Box(4, 0, 5, 7)])
def test_a_face_of_one_pixel_is_redacted_without_an_error(mask: Mask, box: Box) -> None:
    photo = noise(7, 9)

    redacted = redact(photo, [box], mask)

    assert redacted.shape == photo.shape
    away = np.ones((7, 9), bool)
    away[max(0, box.y1 - 2) : box.y2 + 2, max(0, box.x1 - 2) : box.x2 + 2] = False
    assert not changed(photo, redacted)[away].any()


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("side", [1, 2, 3, 24, 255])
def test_a_solid_mask_makes_the_face_black(shape: Shape, side: int) -> None:
    photo = noise(side + 100, side + 100)

    redacted = redact(photo, [Box(50, 50, 50 + side, 50 + side)], Mask(Method.SOLID, shape))

    y, x = np.mgrid[: side + 100, : side + 100] + 0.5
    face = (x - 50 - side / 2) ** 2 + (y - 50 - side / 2) ** 2 <= (side / 2) ** 2
    assert (redacted[face] == 0).all()


@pytest.mark.parametrize("side", [20, 48, 100, 333, 2000])
def test_a_mosaic_has_as_many_squares_for_a_small_face_as_for_a_large_one(side: int) -> None:
    redacted = redact(patchwork(side), [Box(0, 0, side, side)], Mask(Method.MOSAIC, Shape.BOX, 1))

    squares = {
        tuple(pixel) for pixel in redacted[:: max(1, side // 100), :: max(1, side // 100)].reshape(-1, 3).tolist()
    }
    assert len(squares) == cells_of(480) ** 2
    assert cells_of(side) == cells_of(480) <= 8


@pytest.mark.parametrize("side", [20, 48, 100, 333, 2000])
def test_a_blur_keeps_no_more_of_a_large_face_than_of_a_small_one(side: int) -> None:
    """Linear interpolation of n x n averages has a rank of at most n."""
    redacted = redact(patchwork(side), [Box(0, 0, side, side)], Mask(Method.BLUR, Shape.BOX, 1))

    assert rank(redacted[..., 0]) <= cells_of(480)


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
@pytest.mark.parametrize("pixels_a_cell", [4, 20, 100])
def test_details_within_a_cell_do_not_change_the_result(mask: Mask, pixels_a_cell: int) -> None:
    cells = cells_of(480)
    side = cells * pixels_a_cell
    one = patchwork(side)
    other = shuffled_within_cells(one, cells)
    assert changed(one, other).mean() > 0.8

    face = [Box(0, 0, side, side)]
    inside = changed(one, redact(one, face, Mask(Method.SOLID, mask.shape, 1)))
    assert not changed(redact(one, face, replace(mask, scale=1)), redact(other, face, replace(mask, scale=1)))[
        inside
    ].any()


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
def test_each_channel_is_averaged_separately(mask: Mask) -> None:
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:, ::2] = (200, 100, 50)

    middle = redact(photo, [Box(10, 10, 90, 90)], mask)[50, 50]

    assert middle.tolist() == pytest.approx([100, 50, 25], abs=12)


@pytest.mark.parametrize("method", [Method.BLUR, Method.MOSAIC])
def test_a_cut_face_is_averaged_as_coarsely_as_a_whole_one(method: Method) -> None:
    """A part of a face must not get as many averages as a whole face."""
    # 800 pixels wide and high, of which 400 are in the image.
    redacted = redact(patchwork(400), [Box(0, 67, 267, 333)], Mask(method, Shape.BOX, 3))

    assert rank(redacted[..., 0]) <= np.ceil(cells_of(480) / 2)


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
def test_a_small_face_is_not_visible_through_the_mask_of_a_larger_one(mask: Mask) -> None:
    """The order of the boxes makes no difference."""
    photo = noise(300, 300)
    faces = [Box(50, 50, 250, 250), Box(200, 200, 240, 240)]

    redacted = redact(photo, faces, mask)

    assert (redacted == redact(photo, faces[::-1], mask)).all()
    small = redacted[200:240, 200:240].astype(float)
    assert small.std(axis=(0, 1)).max() < 0.2 * noise(40, 40).std()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_equal_photos_give_equal_results(mask: Mask) -> None:
    photo = noise(200, 200)
    face = [Box(30, 40, 130, 170)]

    assert (redact(photo, face, mask) == redact(photo.copy(), face, mask)).all()
