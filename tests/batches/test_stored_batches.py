"""Batches in the store: their files, permissions and form."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.workshop import Workshop
from visage.anonymize.face_boxes import FaceBoxes
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches import open_batches
from visage.batches.batch import Batch, BatchOptions, Entry, batch_from_json, batch_to_json, new_id
from visage.batches.results import Failure
from visage.enhance.results import EnhanceOptions
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.settings import Settings


def test_no_file_name_of_a_client_becomes_a_path(local: Workshop, tiny_png: bytes) -> None:
    names = ["../../escaped", "/tmp/absolute", "C:\\drive", "nul\0byte", "x" * 5000, ""]
    with local.batches.create() as new:
        for name in names:
            new.add(name, tiny_png)
        batch_id = new.submit(AnalyzeOptions()).id

    local.process(local.worker())

    safe = ["escaped", "tmp/absolute", "drive", "nulbyte", "x" * 200, "unnamed"]
    assert [each.name for each in local.batches.status(batch_id).files] == safe
    folder = local.settings.state_dir / "batches"
    results = {f"00000{number}.1" for number in range(1, 7)}
    assert {path.name for path in folder.rglob("*")} == {batch_id, "batch.json", "outcome.json", "out"} | results


def test_only_the_owner_can_read_the_state_directory(tmp_path: Path) -> None:
    open_batches(Settings(state_dir=tmp_path / "state"))

    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state" / "batches").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "options",
    [
        AnalyzeOptions(0.5, 7, 20, Detail.FAST),
        AnonymizeOptions(Mask(Method.MOSAIC, Shape.BOX, 2.0), 0.25, (Box(1, 2, 30, 40),), Detail.AUTO),
        AnonymizeOptions(cover=(Box(5, 6, 7, 8),), detect=False),
    ],
)
def test_a_batch_survives_serialization(options: AnalyzeOptions | AnonymizeOptions) -> None:
    entries = (
        Entry("été.png"),
        Entry("letter.pdf", Failure("PDF is not accepted.", "unsupported_type")),
        Entry("b.png", boxes=FaceBoxes(keep=(Box(1, 2, 3, 4),), cover=(Box(5, 6, 7, 8), Box(-1, 2, 3, 4)))),
    )
    batch = Batch(new_id(), options, 12.5, entries)

    assert batch_from_json(batch.id, batch_to_json(batch)) == batch


@pytest.mark.parametrize(
    ("task", "stored", "options"),
    [
        (
            "predict",
            {"min_confidence": 0.5, "max_faces": 7, "min_face_size": 20, "detail": "fast", "enhance_faces": False},
            AnalyzeOptions(0.5, 7, 20, Detail.FAST),
        ),
        (
            "anonymize",
            {
                "mask": {"method": "mosaic", "shape": "box", "scale": 2.0},
                "min_confidence": 0.25,
                "keep": [{"x1": 1, "y1": 2, "x2": 30, "y2": 40}],
                "detail": "auto",
            },
            AnonymizeOptions(Mask(Method.MOSAIC, Shape.BOX, 2.0), 0.25, (Box(1, 2, 30, 40),), Detail.AUTO),
        ),
        ("enhance", {}, EnhanceOptions()),
        ("enhance", {"scale": 1.5}, EnhanceOptions(1.5)),
    ],
)
def test_a_batch_that_version_0_1_stored_can_be_read(task: str, stored: dict[str, Any], options: BatchOptions) -> None:
    files = [["a.png"], ["b.pdf", {"error": "PDF is not accepted.", "code": "unsupported_type"}]]
    content = json.dumps({"task": task, "options": stored, "created": 12.5, "files": files}).encode()

    batch = batch_from_json("id", content)

    rejected = Failure("PDF is not accepted.", "unsupported_type")
    assert batch == Batch("id", options, 12.5, (Entry("a.png"), Entry("b.pdf", rejected)))


def test_options_that_no_version_accepts_are_not_read() -> None:
    content = json.dumps({"task": "enhance", "options": {"scale": 0.5}, "created": 12.5, "files": []}).encode()

    with pytest.raises(ValueError, match="not a batch"):
        batch_from_json("id", content)


def test_the_store_may_be_outside_the_state_directory(local: Workshop, tmp_path: Path, tiny_png: bytes) -> None:
    elsewhere = tmp_path / "elsewhere"
    batches = open_batches(Settings(state_dir=tmp_path / "state", batch_store=str(elsewhere)))

    with batches.create() as new:
        new.add("photo.png", tiny_png)
        batch_id = new.submit(AnalyzeOptions()).id

    assert (elsewhere / batch_id / "batch.json").exists()
    assert not (tmp_path / "state" / "batches").exists()
