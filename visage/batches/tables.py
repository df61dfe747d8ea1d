"""The results of a batch as tables in UTF-8: JSON Lines for programs, CSV for spreadsheets."""

import codecs
import json
from collections.abc import Iterable, Iterator

from visage.batches.results import Failure
from visage.faces.tables import Analyses, csv_table


def json_lines(analyses: Analyses) -> Iterator[bytes]:
    """Yield one line per file: its name as `file`, and the fields of the analysis."""
    return (json.dumps({"file": name, **analysis}).encode() + b"\n" for name, analysis in analyses)


def conversions_table(names: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield a CSV with one row per image that has another format than its photo: the names of photo and image.

    Text is escaped as in `csv_table`.
    """
    return csv_table(("file", "image"), ({"file": name, "image": image} for name, image in names))


def failures_table(failures: Iterable[tuple[str, Failure]]) -> Iterator[bytes]:
    """Yield a CSV with one row per failure: the file, the code, and the error as a sentence.

    Text is escaped as in `csv_table`.
    """
    rows = ({"file": name, "code": failure.code, "error": failure.error} for name, failure in failures)
    return csv_table(("file", "code", "error"), rows)


def for_spreadsheets(table: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a CSV behind a byte order mark, without which Excel does not read it as UTF-8."""
    yield codecs.BOM_UTF8
    yield from table
