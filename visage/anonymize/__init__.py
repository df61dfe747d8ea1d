"""Make faces unrecognizable."""

from visage.anonymize.face_boxes import FaceBoxes, read_face_boxes
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized

__all__ = ["AnonymizeOptions", "Anonymized", "FaceBoxes", "Mask", "Method", "Shape", "read_face_boxes", "redact"]

from visage.callable_packages import make_callable

make_callable(__name__)
