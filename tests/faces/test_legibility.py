"""Text is large enough and has contrast, and frames are visible on any photo."""

import numpy as np
import pytest

from tests.faces.support import face, image, only_label
from visage.faces.annotation import FILLS, INK, annotate


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """WCAG 2.1's contrast ratio of two BGR colours, 1 to 21."""

    def luminance(colour: tuple[int, int, int]) -> float:
        srgb = np.array(colour) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.0722, 0.7152, 0.2126))

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_capitals_are_at_least_8_pixels_high_on_200_pixels(shade: int) -> None:
    found = face(60, 60, 140, 160)
    box, margin = only_label(found, 200, 200).box, only_label(found, 200, 200).pen.outline

    drawn = annotate(image(200, 200, shade), [found])

    inner = drawn[box.y1 + margin : box.y2 - margin, box.x1 + margin : box.x2 - margin]
    ink_rows = np.flatnonzero((inner.max(axis=2) < 60).any(axis=1))
    assert ink_rows[-1] - ink_rows[0] + 1 >= 8


@pytest.mark.parametrize(("width", "height"), [(1000, 800), (2000, 3000), (6000, 4000)])
def test_the_text_of_a_large_face_grows_with_the_image(width: int, height: int) -> None:
    label = only_label(face(width // 4, height // 4, width // 2, height // 2), width, height)

    assert 0.015 <= label.pen.cap_height / max(width, height) <= 0.02


def test_the_smallest_text_in_24_megapixels_is_legible_at_the_size_of_a_screen() -> None:
    label = only_label(face(3000, 2000, 3040, 2050), 6000, 4000)

    assert label.pen.cap_height * 1500 / 6000 >= 7.5


@pytest.mark.parametrize("size", [150, 250, 400])
def test_the_label_of_a_face_in_a_crowd_is_not_much_wider_than_the_face(size: int) -> None:
    label = only_label(face(1000, 1000, 1000 + size, 1000 + size), 2000, 2000)

    assert label.box.width <= 1.65 * size


@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_text_has_the_contrast_that_wcag_requires(fill: tuple[int, int, int]) -> None:
    assert contrast(INK, fill) >= 4.5


def test_the_background_of_text_is_opaque() -> None:
    found = face(60, 60, 140, 160)
    box = only_label(found, 200, 200).box

    over_black, over_white = (annotate(image(200, 200, shade), [found]) for shade in (0, 255))

    label = np.s_[box.y1 : box.y2, box.x1 : box.x2]
    assert (over_black[label] == over_white[label]).all()
    assert tuple(over_black[label][2, 2]) == FILLS[1]


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("gender", range(len(FILLS)))
def test_a_frame_has_contrast_to_any_photo(gender: int, shade: int) -> None:
    names = tuple("ABCDE")
    drawn = annotate(image(400, 400, shade), [face(100, 100, 300, 300, names[gender], genders=names)])

    across_the_left_side = {(int(b), int(g), int(r)) for b, g, r in drawn[200, 90:110]}

    assert max(contrast(colour, (shade,) * 3) for colour in across_the_left_side) >= 3


def test_each_gender_has_its_own_colour() -> None:
    faces = [face(100, 100, 200, 200, "Male"), face(300, 100, 400, 200, "Female")]

    drawn = annotate(image(600, 400), faces)

    assert tuple(drawn[150, 100]) != tuple(drawn[150, 300])


def test_colours_repeat_for_a_pack_with_more_genders() -> None:
    names = tuple("ABCDEFGH")

    drawn = annotate(image(400, 400), [face(100, 100, 300, 300, "H", genders=names)])

    assert tuple(drawn[200, 100]) == FILLS[7 % len(FILLS)]
