"""The fields that every result has in JSON: the pack and the timings."""

from collections.abc import Mapping
from typing import Any

from visage.packs.pack import Pack


def origin_as_json(pack: Pack, seconds: Mapping[str, float]) -> dict[str, Any]:
    """The name and version of the pack, and the milliseconds of each stage, as JSON types."""
    return {
        "model": {"pack": pack.name, "version": pack.version},
        "timings_ms": {stage: round(spent * 1000, 2) for stage, spent in seconds.items()},
    }
