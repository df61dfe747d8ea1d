"""Evaluate model packs on labelled photos."""

from visage.evaluation.evaluation import Evaluation, evaluate
from visage.evaluation.labels import LabelledFace, LabelledPhoto, read_labels

__all__ = ["Evaluation", "LabelledFace", "LabelledPhoto", "evaluate", "read_labels"]
