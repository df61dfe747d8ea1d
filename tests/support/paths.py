"""Where the repo lies, and the data beside it that some tests need."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

SHARED = ROOT.parent / "shared"
