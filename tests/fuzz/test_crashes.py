"""What fuzzing once found, each file again: `make fuzz` leaves such files, in the form that they have here."""

from pathlib import Path

import pytest

from fuzz import pictures, wire

FOLDER = Path(__file__).parent / "crashes"
CHECKS = {"pictures": pictures.check, "wire": wire.check}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_was_found_once_is_not_found_again(file: Path) -> None:
    CHECKS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("seed", [*pictures.SEEDS], ids=range(len(pictures.SEEDS)))
def test_a_search_for_bad_pictures_begins_with_sound_ones(seed: bytes) -> None:
    pictures.check(seed)


@pytest.mark.parametrize("seed", [*wire.SEEDS], ids=range(len(wire.SEEDS)))
def test_a_search_for_bad_requests_begins_with_sound_ones(seed: bytes) -> None:
    wire.check(seed)
