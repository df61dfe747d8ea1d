"""Visage finds faces in photos, estimates gender and age group, anonymizes faces, and enlarges images, on a CPU."""

__version__ = "0.1.0"
