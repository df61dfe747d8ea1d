"""The shape of the code: imports run one way, and modules stay short enough to be read in one sitting."""

import ast
from pathlib import Path

import pytest

from benchmarks.service import ROOT

PACKAGE = ROOT / "visage"
MODULES = sorted(PACKAGE.glob("*.py"))

# Each module may import those of the rows above its own, never one below.
LAYERS = (
    {"errors", "stopwatch", "log", "heap", "caffe_layers", "setting_values"},
    {"settings", "log_format", "faces", "boxes", "image_headers", "manifest", "tiles"},
    {"pack_files", "images", "labels"},
    {"superres_spec"},
    {"packs"},
    {"nets", "superres_net", "fetch", "results", "masks"},
    {"face_search", "face_enlarger"},
    {"guard"},
    {"analyzer", "admission", "annotate", "enlarge"},
    {"answer_cache", "enhancer"},
    {"engine", "evaluation"},
    {"scores", "batches"},
    {"cli", "web"},
)


def imports(module: Path) -> set[str]:
    """The full names of the modules that `module` imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            # `from visage import engine` imports a module too.
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "visage")
    return found


def test_every_module_has_its_layer() -> None:
    names = {module.stem for module in MODULES} - {"__init__"} | {"batches", "cli", "web"}

    assert names == set.union(*LAYERS)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_module_imports_only_from_layers_above(module: Path) -> None:
    if module.stem == "__init__":
        assert imports(module) == set()
        return
    layer = next(index for index, names in enumerate(LAYERS) if module.stem in names)
    above: set[str] = set().union(*LAYERS[:layer])

    own = {name.split(".")[1] for name in imports(module) if name.startswith("visage.")} - {"__version__"}

    assert own <= above


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_nothing_below_the_web_imports_flask(module: Path) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & {"flask", "werkzeug", "flask_cors"}


@pytest.mark.parametrize("module", sorted((PACKAGE / "batches").glob("*.py")), ids=lambda module: module.stem)
def test_batches_know_nothing_of_the_web_and_of_the_command_line(module: Path) -> None:
    assert not {name for name in imports(module) if name.split(".")[:2] in (["visage", "web"], ["visage", "cli"])}
    assert not {name.split(".")[0] for name in imports(module)} & {"flask", "werkzeug", "flask_cors", "click"}


@pytest.mark.parametrize("module", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda module: module.stem)
def test_the_command_line_imports_nothing_of_the_web(module: Path) -> None:
    assert not {name for name in imports(module) if name.split(".")[:2] == ["visage", "web"]}
    assert not {name.split(".")[0] for name in imports(module)} & {"flask", "werkzeug", "flask_cors"}


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda module: module.stem)
def test_a_module_is_read_in_one_sitting(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 300
