"""Batches: many photos in the background, submitted together and fetched as a ZIP when they are done.

`python -m visage.batches` is the process that works on them.
"""

from visage.batches.lifecycle import Batches, Output, open_batches

__all__ = ["Batches", "Output", "open_batches"]
