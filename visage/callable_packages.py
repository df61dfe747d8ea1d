"""Packages that can be called: `visage.anonymize(photo)` works, although `visage.anonymize` is a package, too."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package whose call is that of the function of its name in `visage.library`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        function = getattr(import_module("visage.library"), self.__name__.rpartition(".")[2])
        return function(*arguments, **options)


def make_callable(package: str) -> None:
    """Make a loaded package callable, by its class ("Customizing module attribute access" in Python's data model)."""
    sys.modules[package].__class__ = _CallablePackage
