"""Shows the size of the container image, file by file; writes results/image.md.

`docker export $(docker create visage) >image.tar` gives the file that it reads; podman has the same commands.
"""

import argparse
import csv
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmarks.support.report import RESULTS, heading, table

# Bytes. The project's own limit for the sum of all files.
MAX_BYTES = 110_000_000

# Files listed in the report.
LARGEST = 25

# The parts of the image by folder; the first that fits counts. Packages are found by their records.
FOLDERS = {
    "app/models": "compact",
    "app": "visage",
    "opt/visage": "python",
    "usr/local": "python",
    "usr/lib/libjemalloc.so.2": "jemalloc",
    "": "Alpine",
}


@dataclass(frozen=True)
class File:
    """A file of the image: the part that it belongs to, its path from the root, and its size in bytes."""

    part: str
    path: str
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="the image's files as a tar file")
    parser.add_argument("--note", default="", help="a sentence for the report, such as what the base image was")
    arguments = parser.parse_args()
    (RESULTS / "image.md").write_text(report(files_of(arguments.image), arguments.note))


def files_of(image: Path) -> list[File]:
    """Each file of the image. Links do not count."""
    with tarfile.open(image) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        owners: dict[str, str] = {}
        for member in members:
            record = re.fullmatch(r"(.+/site-packages)/([^/]+)-[^/-]+\.dist-info/RECORD", _path(member))
            content = archive.extractfile(member) if record else None
            if record and content:
                owners |= _owned(content.read().decode(), folder=record[1], package=record[2])
    return [File(_part(_path(member), owners), _path(member), member.size) for member in members]


def report(files: list[File], note: str = "") -> str:
    """The report in Markdown."""
    parts = {file.part: 0 for file in files}
    for file in files:
        parts[file.part] += file.size
    rows = [
        (part, str(sum(file.part == part for file in files)), _megabytes(parts[part]))
        for part in sorted(parts, key=lambda part: -parts[part])
    ]
    rows.append(("in total", str(len(files)), _megabytes(sum(parts.values()))))
    largest = sorted(files, key=lambda file: -file.size)[:LARGEST]
    summary = f"All files of the image, unpacked; at most {_megabytes(MAX_BYTES)} MB. {note}".strip()
    return (
        f"{heading('The size of the image')}\n{summary}\n\n"
        f"{table(['part', 'files', 'MB'], rows)}\n"
        f"## The largest files\n\n"
        f"{table(['file', 'MB'], [(f'{file.part}: {file.path}', _megabytes(file.size)) for file in largest])}"
    )


def _path(member: tarfile.TarInfo) -> str:
    return str(PurePosixPath("/", member.name).relative_to("/"))


def _owned(record: str, *, folder: str, package: str) -> dict[str, str]:
    """The files and folders directly below `folder` that a package's RECORD names, each with the package's name."""
    names = {PurePosixPath(row[0]).parts[0] for row in csv.reader(io.StringIO(record)) if row}
    return {f"{folder}/{name}": package.lower().replace("_", "-") for name in names - {".."}}


def _part(path: str, owners: dict[str, str]) -> str:
    for parent in map(str, (PurePosixPath(path), *PurePosixPath(path).parents)):
        if parent in owners:
            return owners[parent]
    return next(part for folder, part in FOLDERS.items() if not folder or PurePosixPath(path).is_relative_to(folder))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


if __name__ == "__main__":
    main()
