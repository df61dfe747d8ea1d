"""Faces are covered: nothing else changes, and what is left of a face is a few averages at any size."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import gradient
from visage.anonymize.masks import Mask, Method, Shape, cover
from visage.images.boxes import Box

Pixels = NDArray[np.uint8]

MASKS = [Mask(method, shape) for method, shape in product(Method, Shape)]
# The largest singular value of a square of so many pixels a side that holds what rounding takes away, over the root of
# the side: the deviation of a uniform error (0.29), twice as for any random matrix, and as much again.
ROUNDING = 1.2

AVERAGING = [Mask(method, shape) for method, shape in product((Method.BLUR, Method.MOSAIC), Shape)]


def named(mask: Mask) -> str:
    return f"{mask.method.value} {mask.shape.value}"


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Grain that no two neighbours share, so that whatever is covered changes; never black."""
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), np.uint8)


def patchwork(side: int) -> Pixels:
    """Grain on 16 x 16 patches, so that the averages of no two places are alike, and no row of them like another."""
    patches = cv2.resize(noise(16, 16, seed=2), (side, side), interpolation=cv2.INTER_LINEAR)
    return (noise(side, side) // 4 + patches // 4 * 3).astype(np.uint8)


def changed(before: Pixels, after: Pixels) -> NDArray[np.bool_]:
    """Which pixels (h, w) differ."""
    return np.asarray((before != after).any(axis=2))


def cells_of(side: int) -> int:
    """How many averages a mask of `side` pixels has in a row."""
    mosaic = cover(gradient(side, side), [Box(0, 0, side, side)], Mask(Method.MOSAIC, Shape.BOX, 1))
    return 1 + int((np.abs(np.diff(mosaic[0].astype(int), axis=0)).sum(axis=1) > 0).sum())


def independent_rows(picture: NDArray[np.uint8]) -> int:
    """The rank of one colour (h, w) of a picture, but for what rounding adds to it."""
    few = picture[:: len(picture) // 100 + 1].astype(float)
    return int((np.linalg.svd(few, compute_uv=False) > ROUNDING * max(few.shape) ** 0.5).sum())


def shuffled_within_cells(pixels: Pixels, cells: int) -> Pixels:
    """A square picture with the same averages and quite other details: the pixels of each cell in another order."""
    side = len(pixels) // cells
    blocks = pixels.reshape(cells, side, cells, side, 3).swapaxes(1, 2).reshape(cells, cells, side * side, 3)
    shuffled = np.random.default_rng(1).permutation(blocks, axis=2)
    return shuffled.reshape(cells, cells, side, side, 3).swapaxes(1, 2).reshape(pixels.shape)


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_nothing_outside_the_mask_changes(mask: Mask) -> None:
    photo = noise(200, 300)

    covered = cover(photo, [Box(100, 50, 160, 130)], mask)

    # 1.3 times 60 x 80 around (130, 90).
    outside = np.ones((200, 300), bool)
    outside[38:142, 91:169] = False
    assert not changed(photo, covered)[outside].any()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_the_whole_face_is_covered(mask: Mask) -> None:
    photo = noise(200, 300)

    covered = cover(photo, [Box(100, 50, 160, 130)], mask)

    # The ellipse inside the box is the face; its corners are what is around a head.
    y, x = np.mgrid[50:130, 100:160] + 0.5
    face = ((x - 130) / 30) ** 2 + ((y - 90) / 40) ** 2 <= 1
    assert changed(photo, covered)[50:130, 100:160][face].mean() > 0.99


@pytest.mark.parametrize("method", Method)
def test_a_box_is_covered_to_its_corners(method: Method) -> None:
    photo = noise(200, 300)

    covered = cover(photo, [Box(100, 50, 160, 130)], Mask(method, Shape.BOX))

    assert changed(photo, covered)[38:142, 91:169].mean() > 0.97


@pytest.mark.parametrize("method", Method)
def test_an_ellipse_touches_the_edges_of_its_box_and_leaves_the_corners(method: Method) -> None:
    photo = noise(200, 300)

    inside = changed(photo, cover(photo, [Box(100, 50, 160, 130)], Mask(method, Shape.ELLIPSE)))[38:142, 91:169]

    assert inside[:2].any()
    assert inside[-2:].any()
    assert inside[:, :2].any()
    assert inside[:, -2:].any()
    assert not inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.02)


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_the_photo_itself_stays_as_it_is(mask: Mask) -> None:
    photo = noise(100, 100)
    before = photo.copy()

    cover(photo, [Box(20, 20, 80, 80)], mask)

    assert (photo == before).all()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_without_faces_the_copy_is_the_photo(mask: Mask) -> None:
    photo = noise(50, 70)

    covered = cover(photo, [], mask)

    assert (covered == photo).all()
    assert not np.shares_memory(covered, photo)


@pytest.mark.parametrize("scale", [1, 1.3, 2, 3.5])
def test_the_scale_is_that_of_the_box_around_its_centre(scale: float) -> None:
    photo = noise(400, 400)

    ys, xs = np.nonzero(changed(photo, cover(photo, [Box(180, 160, 220, 240)], Mask(Method.SOLID, Shape.BOX, scale))))

    assert (xs.min(), xs.max() + 1) == pytest.approx((200 - 20 * scale, 200 + 20 * scale), abs=1)
    assert (ys.min(), ys.max() + 1) == pytest.approx((200 - 40 * scale, 200 + 40 * scale), abs=1)


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize(
    "box",
    [Box(0, 0, 40, 50), Box(60, 0, 100, 50), Box(0, 30, 40, 80), Box(60, 30, 100, 80), Box(0, 0, 100, 80)],
    ids=["top left", "top right", "bottom left", "bottom right", "everything"],
)
def test_a_face_at_the_edge_is_covered_up_to_the_edge(mask: Mask, box: Box) -> None:
    photo = noise(80, 100)

    covered = cover(photo, [box], mask)

    # To the corners: it is widest where the edge cuts it.
    assert changed(photo, covered)[box.y1 : box.y2, box.x1 : box.x2].mean() > 0.97


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("box", [Box(0, 0, 1, 80), Box(98, 0, 100, 80), Box(0, 79, 100, 80)])
def test_nothing_is_left_of_what_the_edge_leaves_of_a_face(mask: Mask, box: Box) -> None:
    photo = noise(80, 100)

    covered = cover(photo, [box], replace(mask, scale=1.0))

    assert changed(photo, covered)[box.y1 : box.y2, box.x1 : box.x2].mean() > 0.97


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(4, 4, 5, 5), Box(8, 6, 9, 7), Box(0, 3, 9, 4), Box(4, 0, 5, 7)])
def test_a_face_of_one_pixel_is_covered_without_a_fault(mask: Mask, box: Box) -> None:
    photo = noise(7, 9)

    covered = cover(photo, [box], mask)

    assert covered.shape == photo.shape
    away = np.ones((7, 9), bool)
    away[max(0, box.y1 - 2) : box.y2 + 2, max(0, box.x1 - 2) : box.x2 + 2] = False
    assert not changed(photo, covered)[away].any()


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("side", [1, 2, 3, 24, 255])
def test_a_solid_mask_leaves_nothing(shape: Shape, side: int) -> None:
    photo = noise(side + 100, side + 100)

    covered = cover(photo, [Box(50, 50, 50 + side, 50 + side)], Mask(Method.SOLID, shape))

    y, x = np.mgrid[: side + 100, : side + 100] + 0.5
    face = (x - 50 - side / 2) ** 2 + (y - 50 - side / 2) ** 2 <= (side / 2) ** 2
    assert (covered[face] == 0).all()


@pytest.mark.parametrize("side", [20, 48, 100, 333, 2000])
def test_a_mosaic_keeps_as_many_squares_of_a_small_face_as_of_a_large_one(side: int) -> None:
    covered = cover(patchwork(side), [Box(0, 0, side, side)], Mask(Method.MOSAIC, Shape.BOX, 1))

    squares = {
        tuple(pixel) for pixel in covered[:: max(1, side // 100), :: max(1, side // 100)].reshape(-1, 3).tolist()
    }
    assert len(squares) == cells_of(480) ** 2
    assert cells_of(side) == cells_of(480) <= 8


@pytest.mark.parametrize("side", [20, 48, 100, 333, 2000])
def test_a_blur_keeps_no_more_of_a_large_face_than_of_a_small_one(side: int) -> None:
    """A picture that is made of n x n averages by straight lines between them has a rank of at most n."""
    covered = cover(patchwork(side), [Box(0, 0, side, side)], Mask(Method.BLUR, Shape.BOX, 1))

    assert independent_rows(covered[..., 0]) <= cells_of(480)


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
@pytest.mark.parametrize("pixels_a_cell", [4, 20, 100])
def test_details_within_a_cell_leave_no_trace(mask: Mask, pixels_a_cell: int) -> None:
    cells = cells_of(480)
    side = cells * pixels_a_cell
    one = patchwork(side)
    other = shuffled_within_cells(one, cells)
    assert changed(one, other).mean() > 0.8

    face = [Box(0, 0, side, side)]
    inside = changed(one, cover(one, face, Mask(Method.SOLID, mask.shape, 1)))
    assert not changed(cover(one, face, replace(mask, scale=1)), cover(other, face, replace(mask, scale=1)))[
        inside
    ].any()


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
def test_each_colour_is_averaged_alone(mask: Mask) -> None:
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:, ::2] = (200, 100, 50)

    middle = cover(photo, [Box(10, 10, 90, 90)], mask)[50, 50]

    assert middle.tolist() == pytest.approx([100, 50, 25], abs=12)


@pytest.mark.parametrize("method", [Method.BLUR, Method.MOSAIC])
def test_a_cut_face_is_averaged_as_coarsely_as_a_whole_one(method: Method) -> None:
    """Of a face that the picture's edge cuts, a part is left: it must not get the averages of a whole face."""
    # 800 pixels wide and high, of which 400 are in the picture.
    covered = cover(patchwork(400), [Box(0, 150, 100, 250)], Mask(method, Shape.BOX, 8))

    assert independent_rows(covered[..., 0]) <= np.ceil(cells_of(480) / 2)


@pytest.mark.parametrize("mask", AVERAGING, ids=named)
def test_a_small_face_does_not_shine_through_the_mask_of_a_larger_one(mask: Mask) -> None:
    """Whatever the order in which the faces come, the same is left."""
    photo = noise(300, 300)
    faces = [Box(50, 50, 250, 250), Box(200, 200, 240, 240)]

    covered = cover(photo, faces, mask)

    assert (covered == cover(photo, faces[::-1], mask)).all()
    small = covered[200:240, 200:240].astype(float)
    assert small.std(axis=(0, 1)).max() < 0.2 * noise(40, 40).std()


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_equal_photos_give_equal_pictures(mask: Mask) -> None:
    photo = noise(200, 200)
    face = [Box(30, 40, 130, 170)]

    assert (cover(photo, face, mask) == cover(photo.copy(), face, mask)).all()
