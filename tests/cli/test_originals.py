"""No choice of paths and output directory lets a copy replace an original."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.helpers import MARKER, anonymize, files, write
from visage.cli.files import write_atomically
from visage.errors import SetupError

pytestmark = pytest.mark.usefixtures("plain_environment")


def originals_twice(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder]


def originals_by_dots(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder / "sub" / ".."]


def originals_by_dots_that_do_not_exist(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder / "nowhere" / ".."]


def originals_by_link(folder: Path, out: Path) -> list[object]:
    out.symlink_to(folder)
    return [folder, "-o", out]


def originals_as_one_of_several(folder: Path, _out: Path) -> list[object]:
    return [folder.parent / "other", folder, "-o", folder]


def directory_of_the_file(folder: Path, _out: Path) -> list[object]:
    return [folder / "a.png", "-o", folder]


def parent_of_several(folder: Path, _out: Path) -> list[object]:
    return [folder, folder.parent / "other", "-o", folder.parent]


def linked_directory_below(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "sub").symlink_to(folder / "sub")
    return [folder, "-o", out]


def hard_link(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "a.png").hardlink_to(folder / "a.png")
    return [folder, "-o", out]


def link_to_another_original(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "a.png").symlink_to(folder / "sub" / "b.png")
    return [folder, "-o", out]


@pytest.mark.parametrize("again", [(), ("--again",)])
@pytest.mark.parametrize(
    "prepare",
    [
        originals_twice,
        originals_by_dots,
        originals_by_dots_that_do_not_exist,
        originals_by_link,
        originals_as_one_of_several,
        directory_of_the_file,
        parent_of_several,
        linked_directory_below,
        hard_link,
        link_to_another_original,
    ],
)
def test_an_original_is_never_overwritten(
    folder: Path,
    out: Path,
    tmp_path: Path,
    tiny_png: bytes,
    prepare: Callable[[Path, Path], list[object]],
    again: tuple[str, ...],
) -> None:
    for path in (folder / "a.png", folder / "sub" / "b.png", tmp_path / "other" / "c.png"):
        write(path, tiny_png)
    arguments = prepare(folder, out)
    before = files(tmp_path)

    result = anonymize(*arguments, *again)

    assert result.exit_code == 2
    assert "original" in result.stderr
    assert files(tmp_path) == before
    assert all((tmp_path / name).read_bytes() == tiny_png for name in before if (tmp_path / name).is_file())


def test_a_target_that_has_become_the_original_is_not_written(folder: Path, out: Path) -> None:
    original = write(folder / "a.png", b"original")
    out.mkdir()
    (out / "a.png").hardlink_to(original)

    with pytest.raises(SetupError, match="original"):
        write_atomically(b"copy", out / "a.png", original=original)

    assert (out / "a.png").read_bytes() == b"original"
    assert files(out) == {"a.png"}


def test_an_output_directory_inside_the_input_is_not_copied(folder: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(folder / "sub" / "out" / "old.png", tiny_png)
    write(folder / "sub" / "out" / MARKER, b"")

    for arguments in ((), ("--again",)):
        result = anonymize(folder, "-o", folder / "sub" / "out", *arguments)

        assert result.exit_code == 0
        assert files(folder / "sub" / "out") == {"a.png", "old.png"}
