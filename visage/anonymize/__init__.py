"""Make faces unrecognizable."""

from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized

__all__ = ["AnonymizeOptions", "Anonymized", "Mask", "Method", "Shape", "redact"]
