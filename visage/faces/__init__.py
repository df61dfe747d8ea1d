"""Find faces, describe them, and draw them on the photo."""

from visage.faces.analyzer import AnalyzeOptions, Analyzer
from visage.faces.face import Face, Landmarks
from visage.faces.results import Analysis
from visage.faces.search import Detail

__all__ = ["Analysis", "AnalyzeOptions", "Analyzer", "Detail", "Face", "Landmarks"]
