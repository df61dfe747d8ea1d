"""Make faces unrecognizable."""

from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.results import Anonymized
from visage.anonymize.search import GuardOptions

__all__ = ["Anonymized", "GuardOptions", "Mask", "Method", "Shape"]
