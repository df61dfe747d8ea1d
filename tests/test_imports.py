"""Imports run one way, modules have at most 300 lines, and every folder of tests is run."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "visage"
# `python -m visage` is the command line, and `visage` exports the library at its first use.
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__main__.py", PACKAGE / "__init__.py"})
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# From top to bottom: a package imports from itself and from the rows below its own.
LAYERS = (
    ("cli",),
    ("server",),
    ("web",),
    ("batches", "evaluation", "library"),
    ("runtime",),
    ("anonymize",),
    ("faces",),
    ("enhance",),
    ("nets",),
    ("packs",),
    ("images",),
    # The modules directly in `visage`.
    ("",),
)

# Writes openapi.json with packages that the service does not install; the wheel has neither.
GENERATOR = "visage.web.openapi"
OF_GENERATOR = {"apispec", "pydantic", "pydantic_core"}

FLASK = {"flask", "flask_cors", "werkzeug"}


def imports(module: Path) -> set[str]:
    """The full names of the modules that `module` imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # An imported name may be a module.
            found.update({node.module} | {f"{node.module}.{alias.name}" for alias in node.names})
    return found


def package_of(name: str) -> str:
    """The package in `visage` that contains the module, or `""` for a module directly in `visage`."""
    first = name.split(".")[1] if "." in name else ""
    return first if (PACKAGE / first).is_dir() else ""


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def level(package: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if package in layer)


def top_level_imports(module: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def test_every_package_has_a_layer() -> None:
    packages = {folder.name for folder in PACKAGE.iterdir() if any(folder.glob("*.py"))}

    assert packages | {""} == {each for layer in LAYERS for each in layer}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_own_package_and_lower_layers(module: Path) -> None:
    own = package_of(name_of(module))

    used = {package_of(name) for name in imports(module) if name.split(".")[0] == "visage"} - {own}

    assert {each for each in used if level(each) <= level(own)} == set()


@pytest.mark.parametrize("module", [each for each in MODULES if package_of(name_of(each)) != "web"], ids=name_of)
def test_only_the_web_package_imports_flask(module: Path) -> None:
    assert top_level_imports(module) & FLASK == set()


@pytest.mark.parametrize("module", [each for each in MODULES if package_of(name_of(each)) != "cli"], ids=name_of)
def test_only_the_command_line_imports_click(module: Path) -> None:
    assert "click" not in top_level_imports(module)


@pytest.mark.parametrize("module", [each for each in MODULES if GENERATOR not in name_of(each)], ids=name_of)
def test_the_runtime_imports_no_generator_of_the_openapi_document(module: Path) -> None:
    assert [name for name in imports(module) if name == GENERATOR or name.startswith(f"{GENERATOR}.")] == []
    assert top_level_imports(module) & OF_GENERATOR == set()


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_has_at_most_300_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", TESTS, ids=name_of)
def test_no_test_imports_another_test(module: Path) -> None:
    parts = [name.split(".") for name in imports(module)]

    assert [name for name in parts if any(each.startswith("test_") or each == "conftest" for each in name)] == []


def test_every_folder_of_tests_is_run_except_the_pressure_tests() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        paths = tomllib.load(file)["tool"]["pytest"]["ini_options"]["testpaths"]

    folders = {f"tests/{each.parent.relative_to(ROOT / 'tests')}" for each in TESTS if each.name.startswith("test_")}

    assert folders - {"tests/.", "tests/pressure"} == set(paths) - {"tests/test_*.py"}
