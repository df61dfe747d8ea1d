"""Where an answer comes from, as plain data: the same in every answer."""

from collections.abc import Mapping
from typing import Any

from visage.packs.pack import Pack


def origin_as_json(pack: Pack, seconds: Mapping[str, float]) -> dict[str, Any]:
    """What every answer tells of how it came about: the pack, and where the time went."""
    return {
        "model": {"pack": pack.name, "version": pack.version},
        "timings_ms": {stage: round(taken * 1000, 2) for stage, taken in seconds.items()},
    }
