"""Text files are read and written as UTF-8, whatever the locale of the process is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MODULES = sorted((ROOT / "visage").rglob("*.py"))

# The mode of a file of text, as `Path.open` takes it.
TEXT_MODE = re.compile(r"[rwxa]\+?t?\+?")


def calls_without_encoding(module: Path) -> Iterator[int]:
    """The lines of `module` that open a file of text and leave its encoding to the locale."""
    for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or any(keyword.arg == "encoding" for keyword in call.keywords):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        modes = [each.value for each in call.args[:1] if isinstance(each, ast.Constant)]
        if name in {"read_text", "write_text"} or (name == "open" and any(TEXT_MODE.fullmatch(str(m)) for m in modes)):
            yield call.lineno


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_names_the_encoding_of_its_text_files(module: Path) -> None:
    assert list(calls_without_encoding(module)) == []
