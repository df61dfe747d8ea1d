"""The findings of earlier fuzzing, as `make fuzz` stores them, and its seeds."""

from pathlib import Path

import pytest

from fuzz import pictures, wire

FOLDER = Path(__file__).parent / "crashes"
CHECKS = {"pictures": pictures.check, "wire": wire.check}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_earlier_finding_no_longer_fails(file: Path) -> None:
    CHECKS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("seed", [*pictures.SEEDS], ids=range(len(pictures.SEEDS)))
def test_each_image_seed_passes(seed: bytes) -> None:
    pictures.check(seed)


@pytest.mark.parametrize("seed", [*wire.SEEDS], ids=range(len(wire.SEEDS)))
def test_each_request_seed_passes(seed: bytes) -> None:
    wire.check(seed)
