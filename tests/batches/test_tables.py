"""The tables of a batch contain no formula for any spreadsheet, whatever the names of the files are."""

import csv
import io
from collections.abc import Iterable

import pytest

from visage.batches.results import Failure
from visage.batches.tables import failures_table
from visage.faces.tables import faces_table

# Comma by default; semicolon where the comma separates decimals (German, French and others); tab when pasted.
SEPARATORS = [",", ";", "\t"]

FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def tables(name: str) -> list[Iterable[bytes]]:
    return [faces_table([(name, {"faces": []})]), failures_table([(name, Failure("It is empty.", "empty_image"))])]


def cells(table: Iterable[bytes], separator: str) -> list[str]:
    text = io.StringIO(b"".join(table).decode(), newline="")
    return [cell for row in csv.reader(text, delimiter=separator) for cell in row]


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "+1", "-1.jpg", "@SUM(1)", "x;=1+1.jpg", "x,=1+1.jpg", "\uff1d1+1.jpg", "\uff20SUM(1)"]
)
def test_no_cell_is_a_formula(name: str, separator: str) -> None:
    for table in tables(name):
        assert [cell for cell in cells(table, separator) if cell.startswith(FORMULA_SIGNS)] == []


@pytest.mark.parametrize("name", ["=1", "\uff1d1"])
def test_a_name_that_looks_like_a_formula_gets_an_apostrophe(name: str) -> None:
    for table in tables(name):
        assert f"'{name}" in cells(table, ",")


def test_other_names_are_unchanged() -> None:
    for table in tables("x;=1+1.jpg"):
        assert "x;=1+1.jpg" in cells(table, ",")
