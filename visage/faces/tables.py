"""Tables of faces: CSV that spreadsheets open without executing a file name as a formula."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_CORNERS = ("x1", "y1", "x2", "y2")
_ATTRIBUTES = ("confidence", "gender", "gender_confidence", "age", "age_confidence", "age_years")

# Text that a spreadsheet may take for a formula begins with these, also in full width (OWASP, "CSV Injection").
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# Pairs of a file name and its analysis, as `visage.faces.results.Analysis.as_json` returns it.
Analyses = Iterable[tuple[str, Mapping[str, Any]]]


def faces_table(analyses: Analyses) -> Iterator[bytes]:
    """Yield a CSV with one row per face, numbered from 1 in each file; a file without faces has one row, with face 0.

    Boxes are in pixels of the upright photo. Text is escaped as in `csv_table`.
    """
    rows = (row for name, analysis in analyses for row in _face_rows(name, analysis["faces"]))
    return csv_table(("file", "face", *_CORNERS, *_ATTRIBUTES), rows)


def csv_table(columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """Yield the lines of a CSV in UTF-8: the names of the columns, then a line per row.

    Text that begins with =, +, -, @, a tab or a line break gets an apostrophe in front, so that a spreadsheet does not
    execute a file name as a formula. All fields are quoted, because spreadsheets of many countries split rows at
    semicolons, and a formula may follow one inside a name.
    """
    table = csv.DictWriter(_Encoder(), tuple(columns), extrasaction="ignore", quoting=csv.QUOTE_ALL)
    yield table.writeheader()
    for row in rows:
        yield table.writerow({column: _escaped(value) for column, value in row.items()})


def _face_rows(name: str, faces: list[Mapping[str, Any]]) -> Iterator[Mapping[str, object]]:
    for number, face in enumerate(faces, 1):
        yield {"file": name, "face": number, **dict(zip(_CORNERS, face["bbox"], strict=True)), **face}
    if not faces:
        yield {"file": name, "face": 0}


class _Encoder:
    """A file for `csv.writer`; `writerow` returns what `write` returns, the encoded row."""

    def write(self, line: str) -> bytes:
        # A file name may hold bytes that are not text. The lines of the command line have them in the same form.
        return line.encode(errors="backslashreplace")


def _escaped(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_PREFIXES) else value
