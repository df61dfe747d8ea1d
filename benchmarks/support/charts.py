"""Charts of results, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Grey for the service that Visage is compared with, then Okabe and Ito's colours, as in annotated images.
COLOURS = ("#999999", "#e69f00", "#009e73", "#56b4e9", "#cc79a7")

# Text stays text, and equal figures give equal files.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "visage", "font.size": 9})


def bar_chart(path: Path, unit: str, names: Sequence[str], groups: Mapping[str, Sequence[float]]) -> None:
    """Draw one bar per name in each group, with its value above it."""
    figure, axes = pyplot.subplots(figsize=(8, 3.4), layout="constrained")
    width = 0.8 / len(names)
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        positions = [group + (index - (len(names) - 1) / 2) * width for group in range(len(groups))]
        bars = axes.bar(
            positions, [values[index] for values in groups.values()], width * 0.92, label=name, color=colour
        )
        axes.bar_label(bars, fmt="%.2g", padding=1)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(unit)
    _finish(figure, axes, path)


def line_chart(
    path: Path, labels: tuple[str, str], lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> None:
    """Draw `lines` on logarithmic axes. `labels` are those of the horizontal and the vertical axis."""
    figure, axes = pyplot.subplots(figsize=(8, 3.4), layout="constrained")
    for (name, (x, y)), colour in zip(lines.items(), COLOURS[1:], strict=False):
        axes.loglog(x, y, "o-", label=name, color=colour)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    _finish(figure, axes, path)


def _finish(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
