"""The fields that every result has in JSON: the pack and the timings."""

from collections.abc import Mapping
from dataclasses import dataclass

from visage.packs.pack import Pack


@dataclass(frozen=True)
class ModelJson:
    """The model pack."""

    pack: str
    version: str


def model_json(pack: Pack) -> ModelJson:
    """Return the name and the version of the pack."""
    return ModelJson(pack.name, pack.version)


def milliseconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds of each stage, with two decimals."""
    return {stage: round(spent * 1000, 2) for stage, spent in seconds.items()}
