"""Visage finds faces in photos, estimates gender and age group, anonymizes faces, and enlarges images, on a CPU.

In a program:

    import visage

    for face in visage.analyze("photo.jpg").faces:
        print(face.box, face.gender, face.age)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visage.library import (
        Analysis,
        AnalyzeOptions,
        Anonymized,
        AnonymizeOptions,
        Box,
        Detail,
        Enhanced,
        EnhanceOptions,
        Face,
        Mask,
        Method,
        Photo,
        Shape,
        VisageError,
        analyze,
        anonymize,
        enhance,
    )

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "AnalyzeOptions",
    "AnonymizeOptions",
    "Anonymized",
    "Box",
    "Detail",
    "EnhanceOptions",
    "Enhanced",
    "Face",
    "Mask",
    "Method",
    "Photo",
    "Shape",
    "VisageError",
    "__version__",
    "analyze",
    "anonymize",
    "enhance",
]


def __getattr__(name: str) -> Any:
    """Import the library at its first use, because other users of the package start faster without."""
    if name not in __all__:
        raise AttributeError(f"module 'visage' has no attribute {name!r}")
    return getattr(import_module("visage.library"), name)
