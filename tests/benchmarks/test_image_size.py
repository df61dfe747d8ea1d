"""The image's size is added up of the files that would be in it, and the written result is of the image as it is."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.image import (
    MOST,
    File,
    files_of_app,
    files_of_base,
    files_of_python,
    files_of_wheel,
    image_python,
    is_deleted,
    report,
    required,
)
from benchmarks.report import RESULTS

WRITTEN = (RESULTS / "image.md").read_text()


@pytest.mark.parametrize(
    ("path", "deleted"),
    [
        ("numpy/_core/tests/test_multiarray.py", True),
        ("numpy/_core/multiarray.pyi", True),
        ("numpy/_core/lib/libnpymath.a", True),
        ("numpy/_core/include/numpy/ndarraytypes.h", True),
        ("numpy/_core/multiarray.py", False),
        ("numpy/testing/__init__.py", False),
        ("numpy.libs/libscipy_openblas64.so", False),
    ],
)
def test_what_the_dockerfile_deletes_does_not_count(path: str, deleted: bool) -> None:
    assert is_deleted(path) == deleted


def test_of_a_package_each_file_counts_and_its_bytecode(tmp_path: Path) -> None:
    wheel = tmp_path / "a_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a_package/__init__.py", "x = 1\n")
        archive.writestr("a_package/module.so", bytes(1000))
        archive.writestr("a_package/tests/test_it.py", "This is no Python.")

    files = {file.path: file for file in files_of_wheel(wheel)}

    assert {file.part for file in files.values()} == {"a-package"}
    assert files["a_package/module.so"] == File("a-package", "a_package/module.so", 1000)
    assert files["a_package/__init__.pyc"].size > files["a_package/__init__.py"].size == 6
    assert [file.path for file in files.values() if file.deleted] == ["a_package/tests/test_it.py"]


def test_the_app_is_what_the_dockerfile_copies() -> None:
    files = {file.path: file.part for file in files_of_app()}

    assert files["app.py"] == files["visage/runtime/engine.pyc"] == "visage"
    assert files["models/compact/face.caffemodel"] == "compact"
    assert not [path for path in files if path.startswith(("tests/", "docker/"))]


def test_links_of_the_base_do_not_count_twice(tmp_path: Path) -> None:
    (tmp_path / "python3.14").write_bytes(bytes(100))
    (tmp_path / "python").symlink_to("python3.14")

    assert [(file.path, file.size) for file in files_of_base(tmp_path)] == [("python3.14", 100)]


def test_of_a_python_that_stands_for_the_image_s_what_that_would_not_have_does_not_count(tmp_path: Path) -> None:
    kept = ["bin/python3.13", "include/python3.13/Python.h", "lib/python3.13/os.py", "lib/libjemalloc.so.2"]
    gone = [
        "include/openssl/ssl.h",
        "lib/libcrypto.a",
        "lib/python3.13/__pycache__/os.cpython-313.pyc",
        "lib/python3.13/config-3.13/libpython3.13.a",
        "lib/python3.13/test/test_os.py",
    ]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(100))

    files = {file.path: (file.part, file.size) for file in files_of_python(tmp_path)}

    assert files == {name: ("jemalloc" if "jemalloc" in name else "python", 100) for name in kept}


@pytest.mark.skipif(shutil.which("strip") is None, reason="needs the command strip")
def test_of_programs_what_only_debuggers_read_does_not_count(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    shutil.copyfile(Path(sys.executable).resolve(), program)
    subprocess.run(["strip", "--strip-all", program], check=True)
    least = program.stat().st_size
    # Bytes behind the end of a program are no part of it.
    program.write_bytes(program.read_bytes() + bytes(1000))

    assert [file.size for file in files_of_python(tmp_path)] == [least]


def test_what_is_missing_is_said_and_how_much_it_may_have() -> None:
    files = [File("a", "a.so", 100_000_000), File("a", "a.h", 7_000_000, deleted=True)]

    text = report(files, ["numpy", "Alpine"], ["Something stands for something."], "x86_64")

    assert "stands for something. Not in it: numpy and Alpine, for which 50.0 MB are left." in text
    assert "| in all | 1 | 100.0 | 7.0 |" in text
    assert "Not in it" not in report(files, [], [], "x86_64")


def test_packages_are_those_of_the_python_of_the_image() -> None:
    pinned = {each.name: str(each.specifier) for each in required(image_python(), "x86_64")}

    assert pinned["opencv-python-headless"] == "==4.14.0.94"
    assert pinned["numpy"] == "==2.4.6"
    assert "redis" in pinned


def test_the_written_result_is_of_the_image_as_it_is() -> None:
    parts = {
        name: float(size) for name, size in re.findall(r"^\| ([\w' -]+) \| \d+ \| ([\d.]+) \|", WRITTEN, re.MULTILINE)
    }
    packages = {each.name for each in required(image_python(), "x86_64")} | {"python", "jemalloc"}
    app = sum(file.size for file in files_of_app()) / 1e6

    assert packages <= set(parts)
    assert parts["visage"] + parts["compact"] == pytest.approx(app, abs=0.5)
    assert parts["in all"] * 1e6 < MOST
