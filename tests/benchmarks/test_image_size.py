"""The size of the container image is the sum of its files, and the written result is up to date."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.image import (
    MAX_BYTES,
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
from benchmarks.support.report import RESULTS

WRITTEN = (RESULTS / "image.md").read_text()


@pytest.mark.parametrize(
    ("path", "deleted"),
    [
        ("numpy/_core/tests/test_multiarray.py", True),
        ("numpy/_core/multiarray.pyi", True),
        ("numpy/_core/lib/libnpymath.a", True),
        ("numpy/_core/include/numpy/ndarraytypes.h", True),
        ("numpy/_core/multiarray.py", False),
        ("numpy/fft/_pocketfft_umath.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/_core/_simd.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/_core/_umath_tests.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/linalg/_linalg.py", False),
        ("numpy/typing/__init__.py", False),
        ("another/random/__init__.py", False),
        ("numpy.libs/libscipy_openblas64.so", False),
    ],
)
def test_files_that_the_dockerfile_deletes_do_not_count(path: str, deleted: bool) -> None:
    assert is_deleted(path) == deleted


def test_each_file_of_a_package_counts_with_its_bytecode(tmp_path: Path) -> None:
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


def test_links_in_the_base_image_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "python3.14").write_bytes(bytes(100))
    (tmp_path / "python").symlink_to("python3.14")

    assert [(file.path, file.size) for file in files_of_base(tmp_path)] == [("python3.14", 100)]


def test_files_that_the_python_image_would_not_have_do_not_count(tmp_path: Path) -> None:
    kept = ["bin/python3.13", "include/python3.13/Python.h", "lib/python3.13/os.py", "lib/libjemalloc.so.2"]
    excluded = [
        "include/openssl/ssl.h",
        "lib/libcrypto.a",
        "lib/python3.13/__pycache__/os.cpython-313.pyc",
        "lib/python3.13/config-3.13/libpython3.13.a",
        "lib/python3.13/test/test_os.py",
    ]
    for name in kept + excluded:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(100))

    files = {file.path: (file.part, file.size) for file in files_of_python(tmp_path)}

    assert files == {name: ("jemalloc" if "jemalloc" in name else "python", 100) for name in kept}


@pytest.mark.skipif(shutil.which("strip") is None, reason="needs the command strip")
def test_debug_symbols_do_not_count(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    shutil.copyfile(Path(sys.executable).resolve(), program)
    subprocess.run(["strip", "--strip-all", program], check=True)
    stripped_size = program.stat().st_size
    # strip removes bytes after the end of a program.
    program.write_bytes(program.read_bytes() + bytes(1000))

    assert [file.size for file in files_of_python(tmp_path)] == [stripped_size]


def test_the_report_names_missing_parts_and_the_bytes_that_are_left() -> None:
    files = [File("a", "a.so", 100_000_000), File("a", "a.h", 7_000_000, deleted=True)]

    text = report(files, ["numpy", "Alpine"], ["A note."], "x86_64")

    assert "A note. Missing: numpy and Alpine, for which 50.0 MB are left." in text
    assert "| in total | 1 | 100.0 | 7.0 |" in text
    assert "Missing" not in report(files, [], [], "x86_64")


def test_packages_are_those_for_the_python_of_the_image() -> None:
    pinned = {each.name: str(each.specifier) for each in required(image_python(), "x86_64")}

    assert pinned["opencv-python-headless"] == "==4.14.0.94"
    assert pinned["numpy"] == "==2.4.6"
    assert "redis" in pinned


def test_the_written_result_is_up_to_date() -> None:
    parts = {
        name: float(size) for name, size in re.findall(r"^\| ([\w' -]+) \| \d+ \| ([\d.]+) \|", WRITTEN, re.MULTILINE)
    }
    packages = {each.name for each in required(image_python(), "x86_64")} | {"python", "jemalloc"}
    app = sum(file.size for file in files_of_app()) / 1e6

    assert packages <= set(parts)
    assert parts["visage"] + parts["compact"] == pytest.approx(app, abs=0.5)
    assert parts["in total"] * 1e6 < MAX_BYTES
