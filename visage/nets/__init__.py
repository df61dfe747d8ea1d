"""Wrappers of one `cv2.dnn.Net` each: preprocess, infer, postprocess."""

from visage.nets.classifier import Classifier, classify_by_all
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector

__all__ = ["Classifier", "Detections", "FaceDetector", "classify_by_all"]
