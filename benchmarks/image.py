"""Shows the size of the container image, file by file, without an engine; writes results/image.md.

The packages are those that pip would install on Alpine, without what the Dockerfile deletes; the app is what it copies.
`--compiled` names the wheels that the scripts docker/build-*.sh make. `--base` is a folder with the files of the Python
image, such as `docker export` gives; `--python` is the folder in which docker/musl.sh puts CPython and jemalloc, in its
place. The report names what is missing. Bytecode is compiled by the Python that runs this, which is a little older than
that of the image.
"""

import argparse
import marshal
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from benchmarks.support.dockerfile import checkout, context, copied, stages
from benchmarks.support.report import RESULTS, heading, table
from tests.support.paths import ROOT

# Bytes. The project's own limit.
MAX_BYTES = 150_000_000

# Files listed in the report.
LARGEST = 25

# Packages that the scripts in docker/ compile.
COMPILED = {"numpy", "opencv-python-headless", "pillow"}

# Files that the official image deletes from Python, or takes from Alpine.
_NOT_INSTALLED = ("*/test/*", "*/tests/*", "*/idle_test/*", "*.pyc", "*.a", "*.la", "lib/cmake/*", "lib/pkgconfig/*")

# Bytes of the header of a bytecode file (PEP 552).
_BYTECODE_HEADER = 16


@dataclass(frozen=True)
class File:
    """A file of the image, or its bytecode: the part that it belongs to, its path in it, and its size in bytes."""

    part: str
    path: str
    size: int
    deleted: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processor", choices=["x86_64", "aarch64"], default="x86_64")
    parser.add_argument("--compiled", type=Path, nargs="*", default=[], help="the wheels of OpenCV and numpy")
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--base", type=Path, help="a folder with the files of the Python image")
    base.add_argument("--python", type=Path, help="a folder where CPython is installed, in place of that of the image")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = fetch(Path(folder), arguments.processor)
        files = [file for wheel in [*wheels, *arguments.compiled] for file in files_of_wheel(wheel)]
    files += [*files_of_app(), *bytecode_of_library()]
    notes = [f"Compiled: {', '.join(wheel.name for wheel in arguments.compiled)}."] if arguments.compiled else []
    if arguments.base:
        files += files_of_base(arguments.base)
    elif arguments.python:
        files += files_of_python(arguments.python)
        notes.append("Python is as docker/musl.sh makes it: with its own OpenSSL, twice, and SQLite; without Tk.")
    missing = sorted(COMPILED - {file.part for file in files})
    if not arguments.base:
        missing += ["Alpine"] if arguments.python else ["Python's image"]
    (RESULTS / "image.md").write_text(report(files, missing, notes, arguments.processor))


def fetch(folder: Path, processor: str) -> list[Path]:
    """Download the wheels for the image's Python on musl, except those that are compiled."""
    python = image_python()
    asked = [str(each) for each in required(python, processor) if each.name not in COMPILED]
    platforms = [word for version in (1, 2) for word in ("--platform", f"musllinux_1_{version}_{processor}")]
    options = ["--only-binary", ":all:", "--no-deps", "--python-version", python, *platforms, "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *options, *asked], check=True)
    return sorted(folder.iterdir())


def image_python() -> str:
    """The version of the image's Python, such as 3.14."""
    found = re.match(r"python:(3\.\d+)-alpine", stages(ROOT / "Dockerfile")["python"][0].rest)
    assert found is not None
    return found[1]


def required(python: str, processor: str) -> Iterator[Requirement]:
    """The pinned requirements of the image's Python."""
    marks = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": processor}
    for name in ("requirements.txt", "docker/requirements.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate(marks):
                    requirement.marker = None
                    yield requirement


def files_of_wheel(wheel: Path) -> Iterator[File]:
    """Each file of a wheel, and its bytecode."""
    part = wheel.name.split("-")[0].replace("_", "-")
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            yield from _with_bytecode(part, entry.filename, archive.read(entry), deleted=is_deleted(entry.filename))


def files_of_app() -> Iterator[File]:
    """Each file that the last stage copies from the repository."""
    files = context(ROOT, checkout(ROOT))
    for copy in [each for each in stages(ROOT / "Dockerfile")[""] if each.word == "COPY" and not each.stage]:
        for file in sorted(file for source in copy.sources for file in copied(source, files)):
            part = "compact" if file.startswith("models/") else "visage"
            yield from _with_bytecode(part, file, (ROOT / file).read_bytes())


def bytecode_of_library() -> Iterator[File]:
    """The bytecode of the standard library that the Dockerfile compiles: the modules that the service loads."""
    (loads,) = re.findall(r" python -c '(.+?)'", run_in(""))
    print_files = "; import sys; print(*(getattr(each, '__file__', None) for each in sys.modules.values()), sep='\\n')"
    printed = subprocess.run(
        [sys.executable, "-c", loads + print_files], cwd=ROOT, capture_output=True, text=True, check=True
    )
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted({Path(line) for line in printed.stdout.splitlines() if line.endswith(".py")}):
        if path.is_relative_to(library) and "site-packages" not in path.parts:
            *_, bytecode = _with_bytecode("python", str(path.relative_to(library)), path.read_bytes())
            yield bytecode


def files_of_base(folder: Path) -> Iterator[File]:
    """Each file of the base image."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield File("Python's image", str(path.relative_to(folder)), path.stat().st_size)


def files_of_python(folder: Path) -> Iterator[File]:
    """Each file of an installed CPython that the official image would have, and of jemalloc."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        foreign = name.startswith("include/") and not name.startswith("include/python")
        foreign = foreign or any(fnmatch(name, pattern) for pattern in _NOT_INSTALLED)
        if path.is_file() and not path.is_symlink() and not foreign:
            yield File("jemalloc" if "jemalloc" in name else "python", name, _stripped(path))


@cache
def run_in(stage: str) -> str:
    """The commands that a stage of the Dockerfile runs."""
    return " ".join(each.rest for each in stages(ROOT / "Dockerfile")[stage] if each.word == "RUN")


def is_deleted(path: str) -> bool:
    """Whether the Dockerfile deletes this file of a package."""
    *above, name = PurePosixPath(path).parts
    for root, kind, names in re.findall(r"find /opt/visage/lib(\S*) -type ([df]) (.*?)(?=&&|$)", run_in("packages")):
        package = root.rpartition("site-packages/")[2]
        patterns = re.findall(r"-name '?([^'\s]+)", names)
        deleted = set(patterns) & set(above) if kind == "d" else [each for each in patterns if fnmatch(name, each)]
        if deleted and path.startswith(package):
            return True
    return False


def report(files: list[File], missing: list[str], notes: list[str], processor: str) -> str:
    """The report in Markdown."""
    kept = [file for file in files if not file.deleted]
    total = sum(file.size for file in kept)
    parts = sorted({file.part for file in files}, key=lambda part: -_bytes(kept, part))
    rows = [
        (
            part,
            str(sum(file.part == part for file in kept)),
            _megabytes(_bytes(kept, part)),
            _megabytes(_bytes(files, part) - _bytes(kept, part)),
        )
        for part in parts
    ]
    rows.append(("in total", str(len(kept)), _megabytes(total), _megabytes(sum(file.size for file in files) - total)))
    largest = sorted(kept, key=lambda file: -file.size)[:LARGEST]
    if missing:
        notes = [*notes, f"Missing: {' and '.join(missing)}, for which {_megabytes(MAX_BYTES - total)} MB are left."]
    return (
        f"{heading(f'The size of the image, {processor}')}\n"
        f"{' '.join([f'Python {image_python()} on musl, unpacked; at most {MAX_BYTES // 10**6} MB.', *notes])}\n\n"
        f"{table(['part', 'files', 'MB', 'MB deleted'], rows)}\n"
        f"## The largest files\n\n"
        f"{table(['file', 'MB'], [(f'{file.part}: {file.path}', _megabytes(file.size)) for file in largest])}"
    )


def _with_bytecode(part: str, path: str, content: bytes, *, deleted: bool = False) -> Iterator[File]:
    yield File(part, path, len(content), deleted)
    if path.endswith(".py"):
        try:
            code = compile(content, path, "exec", dont_inherit=True)
        except SyntaxError:
            # It is for a newer Python, or test data that is not Python.
            return
        yield File(part, f"{path}c", _BYTECODE_HEADER + len(marshal.dumps(code)), deleted)


def _stripped(path: Path) -> int:
    """The size of a file in bytes; of programs and libraries without debug symbols."""
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return path.stat().st_size
    with tempfile.NamedTemporaryFile() as target:
        subprocess.run(["strip", "--strip-all", "-o", target.name, path], check=True)
        return Path(target.name).stat().st_size


def _bytes(files: list[File], part: str) -> int:
    return sum(file.size for file in files if file.part == part)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


if __name__ == "__main__":
    main()
