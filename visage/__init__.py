"""Visage: where the faces in a photo are, with gender and age group, on a CPU."""

__version__ = "0.1.0"
