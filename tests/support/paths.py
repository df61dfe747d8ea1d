"""The root of the repo, and the optional data next to it that some tests need."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SHARED = ROOT.parent / "shared"
