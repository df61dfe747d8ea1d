"""An enhancement as steps of one tile, so that whoever drives it can report its progress, and stop it in between."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class TilesDone:
    """How far an image is: `done` of its `tiles`."""

    done: int
    tiles: int


# Yields how far it is before the first tile and after each, then returns its result. Closing it ends the work.
Steps = Generator[TilesDone, None, T]

# Called with the number of tiles that are done and the number of all tiles: before the first tile, and after each.
Progress = Callable[[int, int], object]


def no_progress(_done: int, _tiles: int) -> None: ...


def finish(steps: Steps[T], progress: Progress = no_progress) -> T:
    """Do all steps and return their result. An exception of `progress` ends the work."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            progress(step.done, step.tiles)
