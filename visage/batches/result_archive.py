"""The result of a batch as a ZIP stream; one chunk at a time is in memory."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from visage.batches import Batches, Output
from visage.batches.batch import Batch, FileStatus, Task
from visage.batches.file_names import renamed, safe_names
from visage.batches.tables import conversions_table, failures_table, for_spreadsheets, json_lines
from visage.faces.tables import faces_table

_FAILURES, _CONVERSIONS = "failures.csv", "converted.csv"

# What the name of an archive says about the photos in it, by task.
_ENDINGS = {Task.ANONYMIZE: "anonymized", Task.PREDICT: "faces", Task.ENHANCE: "enlarged"}

# The suffix of a file that was converted to a format, and those that fit as well.
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",)}

# The files that are compressed, with zlib's default level.
_TABLE_SUFFIXES = (".csv", ".jsonl")
_TABLE_LEVEL = 6

# Bytes that are read from the store at once.
_CHUNK = 2**16


def result_archive(batches: Batches, batch_id: str) -> Iterator[bytes]:
    """Yield the result of a batch as a ZIP; each file is read from the store when the stream reaches it.

    The ZIP has the images that were anonymized or enhanced; for the task `predict`, `results.jsonl` and `results.csv`
    (see `faces_table`); `converted.csv`, if images have another format than their photos; and `failures.csv`, if files
    failed. All are in the order of the batch. Images have the names that the batch has, but for those in
    `converted.csv`: a HEIC becomes a `.jpg`. A name that would conflict with a table gets an underscore in front.

    If the batch is deleted meanwhile, or the store fails, the iterator raises an exception. The bytes sent until then
    lack the end of an archive, so no program takes them for a complete one.

    Raises, before the first chunk:
        BatchNotFound: there is no batch with this ID, or no longer.
        BatchNotDone: the batch is not done yet, or it failed as a whole.
        BatchesUnavailable: store or queue cannot be reached.
    """
    outputs = batches.outputs(batch_id)
    status = batches.status(batch_id)
    names = _names(status.files)
    failures = [(names[file.number], file.failure) for file in status.files if file.failure]
    conversions = [(file.name, names[file.number]) for file in status.files if file.converted_to]
    files = _images(outputs, names) if status.progress.task is not Task.PREDICT else _tables(outputs, names)
    tables = [(_CONVERSIONS, for_spreadsheets(conversions_table(conversions)))] if conversions else []
    tables += [(_FAILURES, for_spreadsheets(failures_table(failures)))] if failures else []
    return write_archive(chain(files, tables))


def archive_name(batch: Batch) -> str:
    """Return the file name for the result of a batch: after the folder or ZIP that it came from, if it has one."""
    return f"{batch.source or 'photos'}-{_ENDINGS[batch.task]}.zip"


def write_archive(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a ZIP of `files`, pairs of a name and the chunks of its content.

    Names are written unchanged, in UTF-8; `safe_names` makes them safe and unique. Tables (.csv, .jsonl) are compressed
    and may have any size; images are not compressed and may have up to 2 GiB. All files have the same time, so that
    equal files make equal archives.

    If `files` or a content raises an exception, so does the iterator, and the end of the archive is missing.
    """
    buffer = _Buffer()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, chunks in files:
            is_table = name.lower().endswith(_TABLE_SUFFIXES)
            # Level 0 of deflate does not compress images. The method "stored" does not either, but programs that unpack
            # a stream reject a stored file whose size does not precede it.
            archive.compresslevel = _TABLE_LEVEL if is_table else 0
            # The width of the size fields must be chosen before the size is known.
            with archive.open(name, "w", force_zip64=is_table) as entry:
                for chunk in chunks:
                    entry.write(chunk)
                    yield from buffer.take()
            yield from buffer.take()
    yield from buffer.take()


def _names(files: Sequence[FileStatus]) -> dict[int, str]:
    """Return the names in the archive by the numbers of the files. A photo keeps its name beside a converted one."""
    kept_first = sorted(files, key=lambda file: file.converted_to is not None)
    return dict(zip((file.number for file in kept_first), safe_names(map(_name, kept_first)), strict=True))


def _name(file: FileStatus) -> str:
    suffixes = _SUFFIXES.get(file.converted_to or "")
    name = renamed(file.name, suffixes[0], suffixes) if suffixes else file.name
    return f"_{name}" if _conflicts(name) else name


def _conflicts(name: str) -> bool:
    """Whether a file or its top folder has the name of a table."""
    return name.casefold().split("/")[0] in (_FAILURES, _CONVERSIONS)


def _images(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    return ((names[output.number], _chunks(output)) for output in outputs)


def _chunks(output: Output) -> Iterator[bytes]:
    with output.open() as file:
        yield from iter(partial(file.read, _CHUNK), b"")


def _tables(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    # The outputs are read twice, because neither table fits in memory while the other is written.
    yield "results.jsonl", json_lines(_analyses(outputs, names))
    yield "results.csv", for_spreadsheets(faces_table(_analyses(outputs, names)))


def _analyses(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for output in outputs:
        with output.open() as file:
            yield names[output.number], json.load(file)


class _Buffer:
    """A file for ZipFile to write to; it keeps the bytes that were not taken yet."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._written.append(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> Iterator[bytes]:
        """Yield the bytes written since the last call, if any: an empty chunk would end a chunked response."""
        written, self._written = b"".join(self._written), []
        if written:
            yield written
