"""Visage uses no private names of other packages, whose next version may change them.

What gunicorn and huey have without an underscore and without documentation stands in one module each,
`visage/server/arbiter.py` and `visage/batches/huey_internals.py`.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

MODULES = [*sorted((ROOT / "visage").rglob("*.py")), ROOT / "app.py", ROOT / "gunicorn.conf.py"]

# Those that can be imported without running something.
PACKAGE = [
    path for path in MODULES[:-2] if path.name != "__main__.py" and path.parent.name not in {"examples", "start"}
]

# Names with an underscore that the documentation of Python and Flask describes.
DOCUMENTED = {"os._exit", "flask.request._get_current_object"}

# What Python itself keeps in abstract classes and protocols.
BOOKKEEPING = {"_abc_impl", "_is_protocol", "_is_runtime_protocol"}

PRIVATE = re.compile(r"_[A-Za-z]\w*(?<!_)")


def is_private(name: str) -> bool:
    return bool(PRIVATE.fullmatch(name))


def is_foreign(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] not in {"visage", "app", "__main__"}


def imported(tree: ast.Module) -> dict[str, str]:
    """The local names of what a module imports, with the full names."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({(alias.asname or alias.name).split(".")[0]: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


class OwnClasses:
    """The classes that our modules define, with the private names of each."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        # Each with what its module imports.
        self._classes: dict[str, list[tuple[ast.ClassDef, dict[str, str]]]] = {}
        for tree in trees:
            imports = imported(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self._classes.setdefault(node.name, []).append((node, imports))

    def names(self, node: ast.ClassDef, imports: dict[str, str]) -> set[str]:
        """Names that a class or a base of ours defines in its body, or sets on `self` or `cls`."""
        names: set[str] = set()
        for part in ast.walk(node):
            match part:
                case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                    names.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    names.add(name)
        for base in map(ast.unparse, node.bases):
            if base != node.name and not is_foreign(imports.get(base, "visage")):
                names.update(*(self.names(*each) for each in self._classes.get(base, [])))
        return names


def used(tree: ast.Module, own: OwnClasses) -> Iterator[str]:
    """Private names of other packages that the code of a module reads, sets or imports.

    Nothing here knows the type of an object, so an own name is allowed on `self` and `cls` only, in its own class.
    """
    names = imported(tree)
    for name in names.values():
        if is_foreign(name) and any(is_private(part) for part in name.split(".")):
            yield name
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    allowed = {id(node) for each in classes for node in uses_of_own(each, own.names(each, names))}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if is_private(name) and owner in names:
                yield f"{names[owner]}.{name}"
            case ast.Attribute(attr=name) if is_private(name) and id(node) not in allowed:
                yield ast.unparse(node)
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if is_private(name):
                yield ast.unparse(node)


def uses_of_own(node: ast.ClassDef, names: set[str]) -> Iterator[ast.Attribute]:
    """Where a class uses `names`, its own."""
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if name in names:
                yield part


def overridden(module: ModuleType) -> Iterator[str]:
    """Private names in classes of a module that a base class of another package uses, too."""
    for cls in vars(module).values():
        if not inspect.isclass(cls) or cls.__module__ != module.__name__:
            continue
        theirs = [base for base in cls.__mro__ if is_foreign(base.__module__)]
        ours = set().union(*(_names_in(base) for base in cls.__mro__ if base not in theirs))
        for base in theirs:
            yield from (f"{base.__module__}.{base.__name__}.{name}" for name in sorted(ours & _names_in(base)))


@cache
def _names_in(cls: type) -> set[str]:
    """Private names of a class and of its instances, as far as its source tells."""
    names = set(vars(cls))
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        # It is written in C.
        tree = ast.Module([], [])
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super")), attr=name):
                names.add(name)
    return {name for name in names - BOOKKEEPING if is_private(name)}


OWN = OwnClasses(ast.parse(path.read_text()) for path in MODULES)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_uses_no_private_names_of_other_packages(path: Path) -> None:
    assert set(used(ast.parse(path.read_text()), OWN)) - DOCUMENTED == set()


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_no_class_overrides_a_private_name_of_another_package(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)

    assert list(overridden(module)) == []


@pytest.mark.parametrize(
    "code",
    [
        "import logging\nlogging._srcfile = ''",
        "import logging as log\nlog._srcfile",
        "from werkzeug._internal import _to_str",
        "import werkzeug._internal",
        "def use(server): return server._private",
        "def use(server): return getattr(server, '_private')",
        "import huey\nclass Own(huey.Huey):\n    def go(self): return self._private",
        # Spelled like a name that many classes of ours have.
        "def use(server): return server._settings",
        "def use(server): return getattr(server, '_settings')",
        "def use(self): return self._settings",
        "import huey\nhuey._settings",
        "from visage.web import create_app\ncreate_app()._settings",
        "import huey\nclass Own(huey.Huey):\n    def go(self): return self._settings",
        "class Own:\n    def __init__(self): self._settings = 1\n    def use(self, server): return server._settings",
    ],
)
def test_a_private_name_is_found(code: str) -> None:
    assert list(used(ast.parse(code), OWN))


@pytest.mark.parametrize(
    "code",
    [
        "class Own:\n    def __init__(self): self._private = 1\n    def go(self): return self._private",
        "class Base:\n    def _private(self): pass\nclass Own(Base):\n    def go(self): self._private()",
        "class Own:\n    @classmethod\n    def _private(cls): return cls._private",
        "from visage.web.origins import _private\n_private()",
    ],
)
def test_a_private_name_of_our_own_is_not_reported(code: str) -> None:
    tree = ast.parse(code)

    assert list(used(tree, OwnClasses([tree]))) == []


def test_an_overridden_private_name_is_found() -> None:
    code = (
        "from huey.serializer import Serializer\n"
        "class Json(Serializer):\n    def _serialize(self, data): return b''\n"
        "from huey.storage import SqliteStorage\n"
        "class Storage(SqliteStorage):\n    def __init__(self): self._conn = None\n"
    )
    module = ModuleType("visage.example")
    exec(code, vars(module))

    # What is executed here has no source, so only methods are found.
    assert list(overridden(module)) == ["huey.serializer.Serializer._serialize"]
    assert sys.modules.get("visage.example") is None
