"""The results of a batch as tables in UTF-8: JSON Lines for programs, CSV for these and for spreadsheets."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from visage.batches.batch import Failure

_CORNERS = ("x1", "y1", "x2", "y2")
_ATTRIBUTES = ("confidence", "gender", "gender_confidence", "age", "age_confidence", "age_years")

# OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

# Names of files, each with its analysis as `visage.faces.results.Analysis.as_json` makes it.
Analyses = Iterable[tuple[str, Mapping[str, Any]]]


def json_lines(analyses: Analyses) -> Iterator[bytes]:
    """Yield a line a file: the name as `file`, and the analysis."""
    return (json.dumps({"file": name, **analysis}).encode() + b"\n" for name, analysis in analyses)


def faces_table(analyses: Analyses) -> Iterator[bytes]:
    """Yield a CSV with a row a face, numbered from 1 in each file; a file without any has one, with face 0.

    Boxes are in pixels of the upright original. Text is written as `failures_table` does it.
    """
    rows = (row for name, analysis in analyses for row in _face_rows(name, analysis["faces"]))
    return _csv(("file", "face", *_CORNERS, *_ATTRIBUTES), rows)


def failures_table(failures: Iterable[tuple[str, Failure]]) -> Iterator[bytes]:
    """Yield a CSV with a row a failure: its file, its code and what is wrong.

    Text that begins with =, +, -, @, a tab or the end of a line has an apostrophe put before it, so that no spreadsheet
    takes the name of a file for a formula and obeys it.
    """
    rows = ({"file": name, "code": failure.code, "error": failure.error} for name, failure in failures)
    return _csv(("file", "code", "error"), rows)


def _face_rows(name: str, faces: list[Mapping[str, Any]]) -> Iterator[Mapping[str, object]]:
    for number, face in enumerate(faces, 1):
        yield {"file": name, "face": number, **dict(zip(_CORNERS, face["bbox"], strict=True)), **face}
    if not faces:
        yield {"file": name, "face": 0}


class _Line:
    """What a csv writer writes to: it hands each row back."""

    def write(self, line: str) -> bytes:
        return line.encode()


def _csv(columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    table = csv.DictWriter(_Line(), tuple(columns), extrasaction="ignore")
    yield table.writeheader()
    for row in rows:
        yield table.writerow({column: _harmless(value) for column, value in row.items()})


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
