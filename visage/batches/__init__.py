"""Many photos at once: handed in as a batch, worked on by processes of their own, fetched when they are done.

`python -m visage.batches` works on them.
"""

from visage.batches.lifecycle import Batches, Output, open_batches

__all__ = ["Batches", "Output", "open_batches"]
