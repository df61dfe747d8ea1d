"""The shape of the code: imports run one way, and modules stay short enough to be read in one sitting."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "visage"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# From top to bottom: a room imports from itself and from the rows below its own, and knows nothing of the others.
ROOMS = (
    ("server",),
    ("web", "cli"),
    ("batches", "evaluation"),
    ("runtime",),
    ("anonymize",),
    ("faces",),
    ("enhance",),
    ("nets",),
    ("packs",),
    ("images",),
    # The modules that lie in no room.
    ("",),
)

FLASK = {"flask", "flask_cors", "werkzeug"}


def imports(module: Path) -> set[str]:
    """The full names of the modules that `module` imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # Names that are taken out of a package may be modules of it.
            found.update({node.module} | {f"{node.module}.{alias.name}" for alias in node.names})
    return found


def room(name: str) -> str:
    """The room of the module `visage.…` of that name; empty for those that lie in none."""
    first = name.split(".")[1] if "." in name else ""
    return first if (PACKAGE / first).is_dir() else ""


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def level(own: str) -> int:
    return next(index for index, rooms in enumerate(ROOMS) if own in rooms)


def packages(module: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {folder.name for folder in PACKAGE.iterdir() if any(folder.glob("*.py"))}

    assert rooms | {""} == {each for rooms in ROOMS for each in rooms}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_from_its_own_room_and_from_rooms_below(module: Path) -> None:
    own = room(name_of(module))

    used = {room(name) for name in imports(module) if name.split(".")[0] == "visage"} - {own}

    assert {each for each in used if level(each) <= level(own)} == set()


@pytest.mark.parametrize("module", [each for each in MODULES if room(name_of(each)) != "web"], ids=name_of)
def test_nothing_but_the_web_imports_flask(module: Path) -> None:
    assert packages(module) & FLASK == set()


@pytest.mark.parametrize("module", [each for each in MODULES if room(name_of(each)) != "cli"], ids=name_of)
def test_nothing_but_the_command_line_imports_click(module: Path) -> None:
    assert "click" not in packages(module)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_is_read_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", TESTS, ids=name_of)
def test_no_test_imports_another(module: Path) -> None:
    parts = [name.split(".") for name in imports(module)]

    assert [name for name in parts if any(each.startswith("test_") or each == "conftest" for each in name)] == []


def test_every_folder_of_tests_is_run_but_those_that_take_minutes() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        paths = tomllib.load(file)["tool"]["pytest"]["ini_options"]["testpaths"]

    folders = {f"tests/{each.parent.relative_to(ROOT / 'tests')}" for each in TESTS if each.name.startswith("test_")}

    assert folders - {"tests/.", "tests/pressure"} == set(paths) - {"tests/test_*.py"}
