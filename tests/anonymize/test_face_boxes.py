"""`faces.json`: the boxes for each photo, by its name."""

import pytest

from visage.anonymize.face_boxes import FaceBoxes, read_face_boxes
from visage.errors import BadParameter
from visage.images.boxes import Box


def test_each_photo_has_its_boxes() -> None:
    boxes = read_face_boxes(b'{"one.jpg": {"cover": [[1, 2, 3, 4]]}, "two.jpg": {"keep": [5, 6, 7, 8]}}')

    assert boxes == {"one.jpg": FaceBoxes(cover=(Box(1, 2, 3, 4),)), "two.jpg": FaceBoxes(keep=(Box(5, 6, 7, 8),))}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b'{"one.jpg": {"cover": [[1, 2, 3, 4]]}, "one.jpg": {"cover": [[5, 6, 7, 8]]}}',
            "faces.json has 'one.jpg' 2 times in one object; keep one of them.",
        ),
        (
            b'{"one.jpg": {"cover": [[1, 2, 3, 4]], "cover": [], "cover": []}}',
            "faces.json has 'cover' 3 times in one object; keep one of them.",
        ),
    ],
    ids=["a photo", "a list of boxes"],
)
def test_a_name_that_occurs_twice_is_refused(content: bytes, error: str) -> None:
    with pytest.raises(BadParameter) as caught:
        read_face_boxes(content)

    assert str(caught.value) == error
