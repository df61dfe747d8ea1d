"""Safe names from the names that clients choose."""

import time

import pytest

from visage.batches.file_names import safe_names


def safe(name: str) -> str:
    return next(safe_names([name]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("a/../../b.jpg", "a/b.jpg"),
        ("..\\..\\b.jpg", "b.jpg"),
        (".\0./b.jpg", "b.jpg"),
        (". . /b.jpg", "b.jpg"),
        ("./a/./b.jpg", "a/b.jpg"),
    ],
)
def test_a_name_cannot_leave_its_folder(name: str, expected: str) -> None:
    assert safe(name) == expected


@pytest.mark.parametrize("name", ["/a/b.jpg", "//a/b.jpg", "\\a\\b.jpg", "\\\\a\\b.jpg", " /a/b.jpg"])
def test_an_absolute_name_becomes_relative(name: str) -> None:
    assert safe(name) == "a/b.jpg"


@pytest.mark.parametrize("name", ["C:\\a\\b.jpg", "c:/a/b.jpg", "C:a/b.jpg", "/C:/a/b.jpg"])
def test_a_drive_letter_is_removed(name: str) -> None:
    assert safe(name) == "a/b.jpg"


def test_characters_that_windows_reserves_become_underscores() -> None:
    assert safe('a<b>c:d"e|f?g*h.jpg') == "a_b_c_d_e_f_g_h.jpg"


def test_control_characters_are_removed() -> None:
    assert safe("a\0b\r\nc\x1b[31m\x7f\x85.jpg") == "abc[31m.jpg"


def test_bidirectional_marks_are_removed() -> None:
    assert safe("photo\u202egpj.exe") == "photogpj.exe"


def test_code_points_that_utf_8_cannot_encode_are_removed() -> None:
    assert safe("a\udcff.jpg").encode() == b"a.jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("con", "_con"),
        ("a/NUL.jpg", "a/_NUL.jpg"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("LPT³.jpg", "_LPT³.jpg"),
        ("aux .jpg", "_aux .jpg"),
        ("CON/a.jpg", "_CON/a.jpg"),
        ("console.jpg", "console.jpg"),
        ("com10.jpg", "com10.jpg"),
    ],
)
def test_the_name_of_a_windows_device_gets_an_underscore(name: str, expected: str) -> None:
    assert safe(name) == expected


def test_dots_and_spaces_at_the_end_of_a_part_are_removed() -> None:
    assert safe(" a. /b.jpg. . ") == "a/b.jpg"


@pytest.mark.parametrize("name", ["", "/", "..", "C:\\", "\0", "...", " "])
def test_an_empty_name_becomes_unnamed(name: str) -> None:
    assert safe(name) == "unnamed"


def test_a_long_part_is_cut_and_keeps_its_suffix() -> None:
    assert safe(f"{'a' * 300}.jpg") == f"{'a' * 196}.jpg"


def test_a_long_part_is_cut_between_characters() -> None:
    assert safe("ä" * 300) == "ä" * 100


def test_the_last_parts_of_a_deep_path_are_kept() -> None:
    assert safe("/".join(map(str, range(1000)))) == "/".join(map(str, range(990, 1000)))


def test_letters_of_any_alphabet_are_kept() -> None:
    assert safe("Größe/写真/фото 👩‍🦰.jpg") == "Größe/写真/фото 👩‍🦰.jpg"


def test_accents_are_composed() -> None:
    assert safe("a\u0308.jpg") == "ä.jpg"


def test_a_part_that_grows_when_composed_is_cut_again() -> None:
    assert len(safe("\U0001d160" * 50).encode()) <= 200


def test_very_many_accents_take_little_time() -> None:
    started = time.process_time()

    assert len(safe("a" + "\u0301\u0323" * 30_000).encode()) <= 200

    assert time.process_time() - started < 0.1


def test_equal_names_are_numbered() -> None:
    assert list(safe_names(["a.jpg", "b/a.jpg", "a.jpg", "a.jpg", "b/a.jpg"])) == [
        "a.jpg",
        "b/a.jpg",
        "a (2).jpg",
        "a (3).jpg",
        "b/a (2).jpg",
    ]


def test_names_that_are_equal_apart_from_case_or_after_cleaning_are_numbered() -> None:
    assert list(safe_names(["a.jpg", "A.JPG", "../a.jpg", "a\0.jpg"])) == [
        "a.jpg",
        "A (2).JPG",
        "a (3).jpg",
        "a (4).jpg",
    ]


def test_a_number_in_a_name_of_the_client_is_not_used_again() -> None:
    assert list(safe_names(["a (2).jpg", "a.jpg", "a.jpg", "a (3).jpg"])) == [
        "a (2).jpg",
        "a.jpg",
        "a (3).jpg",
        "a (3) (2).jpg",
    ]


def test_ten_thousand_equal_names_become_unique() -> None:
    names = list(safe_names(["a.jpg"] * 10_000))

    assert len(set(names)) == 10_000
    assert names[-1] == "a (10000).jpg"


def test_names_are_read_one_at_a_time() -> None:
    names = iter(["a.jpg", "b.jpg"])

    first = next(safe_names(names))

    assert first == "a.jpg"
    assert next(names) == "b.jpg"
