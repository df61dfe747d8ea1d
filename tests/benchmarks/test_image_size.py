"""The size of the container image is the sum of its files, and the written result is up to date."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from benchmarks.image import MAX_BYTES, File, files_of, report
from benchmarks.support.dockerfile import checkout, context, copied
from benchmarks.support.report import RESULTS
from tests.deploy.support import FILES
from tests.support.paths import ROOT

PACKAGES = "opt/visage/lib/python3.14/site-packages"


def write_image(path: Path, files: dict[str, bytes], links: tuple[str, ...] = ()) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "elsewhere"
            archive.addfile(entry)
    return path


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("app/visage/web/app.py", "visage"),
        ("app/models/compact/face.caffemodel", "compact"),
        ("usr/local/lib/libpython3.14.so.1.0", "python"),
        ("opt/visage/bin/python", "python"),
        ("usr/lib/libjemalloc.so.2", "jemalloc"),
        ("usr/lib/libcrypto.so.3", "Alpine"),
        ("./bin/busybox", "Alpine"),
    ],
)
def test_a_file_belongs_to_the_part_of_its_folder(tmp_path: Path, path: str, part: str) -> None:
    (file,) = files_of(write_image(tmp_path / "image.tar", {path: bytes(7)}))

    assert file == File(part, path.removeprefix("./"), 7)


def test_a_file_of_a_package_belongs_to_the_package_with_its_bytecode(tmp_path: Path) -> None:
    record = b"a_package/__init__.py,sha256=x,6\na_module.so,,\n../../../bin/tool,,\nA_Package-1.0.dist-info/RECORD,,\n"
    files = {
        f"{PACKAGES}/A_Package-1.0.dist-info/RECORD": record,
        f"{PACKAGES}/a_package/__init__.py": b"x = 1\n",
        f"{PACKAGES}/a_package/__pycache__/__init__.cpython-314.pyc": bytes(100),
        f"{PACKAGES}/a_module.so": bytes(1000),
        f"{PACKAGES}/another.py": bytes(1),
    }
    parts = {file.path: file.part for file in files_of(write_image(tmp_path / "image.tar", files))}

    assert [parts[path] for path in files] == ["a-package"] * 4 + ["python"]


def test_links_do_not_count(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tar", {"usr/local/bin/python3.14": bytes(100)}, ("usr/local/bin/python",))

    assert [(file.path, file.size) for file in files_of(image)] == [("usr/local/bin/python3.14", 100)]


def test_the_report_adds_up_parts_and_names_the_largest_files() -> None:
    text = report([File("a", "a.so", 90_000_000), File("b", "b.so", 5_000_000), File("b", "c", 10)], "A note.")

    assert "at most 110.0 MB. A note." in text
    assert re.findall(r"^\| (\w+) \| (\d) \| ([\d.]+) \|", text, re.MULTILINE) == [
        ("a", "1", "90.0"),
        ("b", "2", "5.0"),
    ]
    assert "| in total | 3 | 95.0 |" in text
    assert text.index("a: a.so") < text.index("b: b.so")


def test_the_written_result_is_up_to_date() -> None:
    written = (RESULTS / "image.md").read_text()
    parts = {
        name: float(size) for name, size in re.findall(r"^\| ([\w' -]+) \| \d+ \| ([\d.]+) \|", written, re.MULTILINE)
    }
    required = "".join((ROOT / name).read_text() for name in ("requirements.txt", "docker/requirements.txt"))
    files = context(ROOT, checkout(ROOT))
    sources = [source for each in FILES if each.word == "COPY" and not each.stage for source in each.sources]
    app = sum((ROOT / file).stat().st_size for source in sources for file in copied(source, files)) / 1e6

    assert set(re.findall(r"^([\w-]+)==", required, re.MULTILINE)) | {"python", "jemalloc", "Alpine"} <= set(parts)
    # Bytecode takes about as much as the code.
    assert app < parts["visage"] + parts["compact"] < app + 2
    assert parts["in total"] * 1e6 < MAX_BYTES
