"""The result of a batch as a ZIP that is streamed: of its contents one piece is in memory at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from visage.batches import Batches, Output
from visage.batches.batch import Task
from visage.batches.file_names import safe_names
from visage.batches.tables import faces_table, failures_table, json_lines

_FAILURES = "failures.csv"

# What is compressed, and how much: zlib's own default.
_TABLES = (".csv", ".jsonl")
_LEVEL = 6

_PIECE = 2**16


def result_archive(batches: Batches, batch_id: str) -> Iterator[bytes]:
    """Yield the result of a batch as a ZIP; each file is read from the store when its turn comes.

    Of photos that were anonymized or enlarged it has the pictures, of others `results.jsonl` and `results.csv` (see
    `tables`); of all `failures.csv`, where any failed. All are in the order of the batch. Files have the names that
    they have there, with an underscore before what would stand in the way of `failures.csv`.

    A batch that is deleted meanwhile, or a store that fails, breaks the stream with an exception: what was sent lacks
    the end without which no program takes it for an archive.

    Raises, before there is anything to yield:
        BatchNotFound: it is not, or no more, the id of a batch.
        BatchNotDone: the batch has no result: not yet, or it failed as a whole.
        BatchesUnavailable: store or queue cannot be reached.
    """
    outputs = batches.outputs(batch_id)
    status = batches.status(batch_id)
    apart = (f"_{file.name}" if _is_in_the_way(file.name) else file.name for file in status.files)
    names = dict(enumerate(safe_names(apart), 1))
    failures = [(names[file.number], file.failure) for file in status.files if file.failure]
    files = _pictures(outputs, names) if status.progress.task is not Task.PREDICT else _tables(outputs, names)
    return write_archive(chain(files, [(_FAILURES, failures_table(failures))] if failures else []))


def write_archive(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a ZIP of `files`, pairs of a name and the pieces of its content, as they come.

    Names are written as they are, in UTF-8: `safe_names` makes them safe and each only once. Tables (.csv, .jsonl) are
    compressed and may have any size, pictures are not and may have 2 GiB. Every file has the same time, so that equal
    files make equal archives.

    If `files` or a content raises, so does this, and what was sent lacks the end of an archive.
    """
    outbox = _Outbox()
    with ZipFile(outbox, "w", ZIP_DEFLATED) as archive:
        for name, pieces in files:
            is_table = name.lower().endswith(_TABLES)
            # Deflate's level 0 leaves pictures as they are. Stored would do so too, but programs that read an archive
            # as it arrives refuse a stored file whose size is not written before it.
            archive.compresslevel = _LEVEL if is_table else 0
            # How sizes are written must be known before they are.
            with archive.open(name, "w", force_zip64=is_table) as entry:
                for piece in pieces:
                    entry.write(piece)
                    yield from outbox.take()
            yield from outbox.take()
    yield from outbox.take()


def _is_in_the_way(name: str) -> bool:
    """Whether a file, or the folder that it is in, would lie where the table of failures does."""
    return name.casefold().split("/")[0] == _FAILURES


def _pictures(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    return ((names[output.number], _pieces(output)) for output in outputs)


def _pieces(output: Output) -> Iterator[bytes]:
    with output.open() as file:
        yield from iter(partial(file.read, _PIECE), b"")


def _tables(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    # Twice through the store, for one of the two would not fit in memory.
    yield "results.jsonl", json_lines(_analyses(outputs, names))
    yield "results.csv", faces_table(_analyses(outputs, names))


def _analyses(outputs: Sequence[Output], names: Mapping[int, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for output in outputs:
        with output.open() as file:
            yield names[output.number], json.load(file)


class _Outbox:
    """What ZipFile writes to: no more than is not sent yet."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._waiting.append(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> Iterator[bytes]:
        """Nothing rather than an empty piece, which would end a chunked answer."""
        waiting, self._waiting = b"".join(self._waiting), []
        if waiting:
            yield waiting
