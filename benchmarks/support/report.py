"""Markdown tables, and the heading of a written result."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2

from tests.support.paths import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with the first column aligned left and the others right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def heading(title: str) -> str:
    """The heading of a written result: its title, the commit and the machine."""
    # Results of an earlier command do not change what is measured.
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    commit = _git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    machine = f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GB, {platform.system()} {platform.machine()}"
    versions = f"Python {platform.python_version()}, OpenCV {cv2.__version__}"
    return f"# {title}\n\nCommit {commit}; {machine}; {versions}. What each figure means: docs/performance.md.\n"


def _git(*command: str) -> str:
    return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
