"""The result of a batch as a ZIP: contents, names, and errors before and during the stream."""

import codecs
import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import pytest

from tests.support.heif import encode_heic
from tests.support.pictures import GIF, encode, gradient
from tests.support.service import free_port
from tests.support.workshop import opened
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches, open_batches
from visage.batches.result_archive import result_archive
from visage.batches.results import Done, Failure, Result
from visage.batches.store import output_key
from visage.errors import BatchesUnavailable, BatchNotDone, BatchNotFound, EmptyImage
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Engine
from visage.settings import Settings

COLUMNS = ["file", "face", "x1", "y1", "x2", "y2"]
COLUMNS += ["confidence", "gender", "gender_confidence", "age", "age_confidence", "age_years"]

FACE = {
    "bbox": [1, 2, 30, 40],
    "confidence": 0.9871,
    "gender": "Female",
    "gender_confidence": 0.75,
    "age": "(25-32)",
    "age_range": [25, 32],
    "age_confidence": 0.5,
    "age_years": 28.6,
    "gender_probabilities": {"Male": 0.25, "Female": 0.75},
}
FACE_CELLS = ["1", "2", "30", "40", "0.9871", "Female", "0.75", "(25-32)", "0.5", "28.6"]


def analysis(faces: int) -> bytes:
    return json.dumps({"image": {"width": 99, "height": 99}, "faces": [FACE] * faces}).encode()


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    return open_batches(Settings(state_dir=tmp_path))


def finished(batches: Batches, options: AnalyzeOptions | AnonymizeOptions, *files: tuple[str, bytes | Failure]) -> str:
    """Create a done batch with these files and outcomes; return its ID."""
    with batches.create() as new:
        for name, _ in files:
            new.add(name, b"photo")
        batch_id = new.submit(options).id
    results: dict[int, Result] = {}
    for number, (_, outcome) in enumerate(files, 1):
        if isinstance(outcome, bytes):
            batches.store.write(output_key(batch_id, number, 1), outcome)
            results[number] = Done(1, 1)
        else:
            results[number] = outcome
    batches.finish(batches.find(batch_id), results)
    return batch_id


def anonymized(batches: Batches, *files: tuple[str, bytes | Failure]) -> str:
    return finished(batches, AnonymizeOptions(), *files)


def analyzed(batches: Batches, *files: tuple[str, bytes | Failure]) -> str:
    return finished(batches, AnalyzeOptions(), *files)


def unpacked(batches: Batches, batch_id: str) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(b"".join(result_archive(batches, batch_id)))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def rows(table: bytes) -> list[list[str]]:
    # The mark in front makes Excel read UTF-8.
    assert table.startswith(codecs.BOM_UTF8)
    return list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def lines(table: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in table.splitlines()]


# Contents.


def test_the_archive_of_anonymized_photos_has_the_images(batches: Batches) -> None:
    batch_id = anonymized(batches, ("b.png", b"first"), ("holiday/a.jpg", b"second"))

    files = unpacked(batches, batch_id)

    assert list(files.items()) == [("b.png", b"first"), ("holiday/a.jpg", b"second")]


def test_the_archive_of_analyzed_photos_has_two_tables(batches: Batches) -> None:
    batch_id = analyzed(batches, ("a.jpg", analysis(1)))

    assert list(unpacked(batches, batch_id)) == ["results.jsonl", "results.csv"]


def test_json_lines_has_every_file_with_its_analysis_in_the_order_of_the_batch(batches: Batches) -> None:
    batch_id = analyzed(batches, ("b.jpg", analysis(2)), ("a.jpg", analysis(0)))

    table = lines(unpacked(batches, batch_id)["results.jsonl"])

    assert table == [{"file": "b.jpg"} | json.loads(analysis(2)), {"file": "a.jpg"} | json.loads(analysis(0))]


def test_the_table_of_faces_has_a_row_per_face_and_one_for_a_file_without_faces(batches: Batches) -> None:
    batch_id = analyzed(batches, ("b.jpg", analysis(2)), ("a.jpg", analysis(0)), ("c.jpg", analysis(1)))

    table = rows(unpacked(batches, batch_id)["results.csv"])

    assert table == [
        COLUMNS,
        ["b.jpg", "1", *FACE_CELLS],
        ["b.jpg", "2", *FACE_CELLS],
        ["a.jpg", "0", *[""] * 10],
        ["c.jpg", "1", *FACE_CELLS],
    ]


@pytest.mark.parametrize(("finish", "output"), [(anonymized, b"picture"), (analyzed, analysis(1))])
def test_failures_are_listed_in_a_table_for_every_task(batches: Batches, finish: Any, output: bytes) -> None:
    failure = Failure('It is "empty", sorry.', "empty_image")
    batch_id = finish(batches, ("a.jpg", failure), ("b.jpg", output), ("c.jpg", failure))

    *_, (name, table) = unpacked(batches, batch_id).items()

    assert name == "failures.csv"
    assert rows(table) == [
        ["file", "code", "error"],
        ["a.jpg", "empty_image", 'It is "empty", sorry.'],
        ["c.jpg", "empty_image", 'It is "empty", sorry.'],
    ]


def test_a_failed_file_is_in_no_other_table(batches: Batches) -> None:
    batch_id = analyzed(batches, ("a.jpg", Failure("It is empty.", "empty_image")), ("b.jpg", analysis(1)))

    files = unpacked(batches, batch_id)

    assert [line["file"] for line in lines(files["results.jsonl"])] == ["b.jpg"]
    assert rows(files["results.csv"]) == [COLUMNS, ["b.jpg", "1", *FACE_CELLS]]


def test_a_file_rejected_on_arrival_is_among_the_failures(tmp_path: Path, engine: Engine, tiny_png: bytes) -> None:
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        with workshop.batches.create() as new:
            new.add_failed("letter.pdf", EmptyImage("It is empty."))
            batch_id = new.submit(AnonymizeOptions()).id
        workshop.process(workshop.worker())

        files = unpacked(workshop.batches, batch_id)

    assert {name: rows(table)[1:] for name, table in files.items()} == {
        "failures.csv": [["letter.pdf", "empty_image", "It is empty."]]
    }


def test_the_tables_have_the_results_of_the_workers(tmp_path: Path, engine: Engine, tiny_png: bytes) -> None:
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        batch_id = workshop.submit(tiny_png, GIF, tiny_png)
        workshop.process(workshop.worker())
        faces = [json.loads(output.open().read())["faces"] for output in workshop.batches.outputs(batch_id)]

        files = unpacked(workshop.batches, batch_id)

    assert [line["faces"] for line in lines(files["results.jsonl"])] == faces
    assert [row[:6] for row in rows(files["results.csv"])[1:]] == [
        [name, str(number), *map(str, face["bbox"])]
        for name, found in zip(["photo1.png", "photo3.png"], faces, strict=True)
        for number, face in enumerate(found, 1)
    ]
    assert [row[:2] for row in rows(files["failures.csv"])[1:]] == [["photo2.png", "unsupported_type"]]


def test_the_archive_has_the_images_of_the_workers(tmp_path: Path, engine: Engine, tiny_png: bytes) -> None:
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        batch_id = workshop.submit(tiny_png, options=AnonymizeOptions())
        workshop.process(workshop.worker())

        files = unpacked(workshop.batches, batch_id)

    assert files == {"photo1.png": engine.anonymize(tiny_png, AnonymizeOptions()).picture}


def test_converted_images_have_another_suffix_and_a_table_names_them(tmp_path: Path, engine: Engine) -> None:
    heic = encode_heic(gradient(64, 96))
    photos = {"a.heic": heic, "a.jpg": encode(gradient(64, 96), "JPEG"), "b.TIF": encode(gradient(64, 96), "TIFF")}
    photos |= {"c.jpeg": heic, "cut.heic": heic[:-50]}
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        with workshop.batches.create() as new:
            for name, photo in photos.items():
                new.add(name, photo)
            batch_id = new.submit(AnonymizeOptions()).id
        workshop.process(workshop.worker())
        status = workshop.batches.status(batch_id)

        files = unpacked(workshop.batches, batch_id)

    names = ["a (2).jpg", "a.jpg", "b.png", "c.jpeg"]
    assert list(files) == [*names, "converted.csv", "failures.csv"]
    assert [files[name][:3] for name in names] == [b"\xff\xd8\xff", b"\xff\xd8\xff", b"\x89PN", b"\xff\xd8\xff"]
    assert rows(files["converted.csv"]) == [
        ["file", "image"],
        ["a.heic", "a (2).jpg"],
        ["b.TIF", "b.png"],
        ["c.jpeg", "c.jpeg"],
    ]
    assert [file.converted_to for file in status.files] == ["JPEG", None, "PNG", "JPEG", None]


# Names.


def test_names_are_safe_and_unique(batches: Batches) -> None:
    names = ["../../a.jpg", "C:\\A.JPG", "nul.png", "/etc/b\0.png", ""]
    batch_id = anonymized(batches, *[(name, b"picture") for name in names])

    assert list(unpacked(batches, batch_id)) == ["a.jpg", "A (2).JPG", "_nul.png", "etc/b.png", "unnamed"]


def test_tables_use_the_names_of_the_archive(batches: Batches) -> None:
    failure = Failure("It is empty.", "empty_image")
    batch_id = anonymized(batches, ("a.jpg", b"picture"), ("./a.jpg", failure), ("b/../a.jpg", b"another"))

    files = unpacked(batches, batch_id)

    assert list(files) == ["a.jpg", "b/a.jpg", "failures.csv"]
    assert rows(files["failures.csv"])[1][0] == "a (2).jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("failures.csv", "_failures.csv"),
        ("./Failures.CSV ", "_Failures.CSV"),
        ("failures.csv/a.jpg", "_failures.csv/a.jpg"),
        ("a/failures.csv", "a/failures.csv"),
        ("converted.csv", "_converted.csv"),
    ],
)
def test_no_file_conflicts_with_the_table_of_failures(batches: Batches, name: str, expected: str) -> None:
    batch_id = anonymized(batches, (name, b"picture"), ("b.jpg", Failure("It is empty.", "empty_image")))

    assert list(unpacked(batches, batch_id)) == [expected, "failures.csv"]


def test_json_lines_has_unescaped_names(batches: Batches) -> None:
    batch_id = analyzed(batches, ("=1, \u201cé\u201d.jpg", analysis(0)))

    (line,) = lines(unpacked(batches, batch_id)["results.jsonl"])

    assert line["file"] == "=1, \u201cé\u201d.jpg"


# Errors.


@pytest.mark.parametrize("batch_id", ["A" * 24, "../../etc/passwd"])
def test_an_unknown_batch_raises_before_the_stream_begins(batches: Batches, batch_id: str) -> None:
    with pytest.raises(BatchNotFound):
        result_archive(batches, batch_id)


def test_a_batch_that_is_not_done_raises_before_the_stream_begins(batches: Batches) -> None:
    with batches.create() as new:
        new.add("a.jpg", b"photo")
        batch_id = new.submit(AnalyzeOptions()).id

    with pytest.raises(BatchNotDone):
        result_archive(batches, batch_id)


def test_an_unavailable_queue_raises_before_the_stream_begins(tmp_path: Path, batches: Batches) -> None:
    batch_id = analyzed(batches, ("a.jpg", analysis(1)))
    elsewhere = open_batches(Settings(state_dir=tmp_path, batch_redis=f"redis://127.0.0.1:{free_port()}/0"))

    with pytest.raises(BatchesUnavailable):
        result_archive(elsewhere, batch_id)


@pytest.mark.parametrize("finish", [anonymized, analyzed])
def test_a_deletion_of_the_batch_breaks_the_stream(batches: Batches, finish: Any) -> None:
    batch_id = finish(batches, *[(f"{number}.jpg", analysis(1)) for number in range(200)])
    stream = result_archive(batches, batch_id)
    sent = [next(stream)]

    batches.delete(batch_id)
    with pytest.raises(FileNotFoundError):
        sent.extend(stream)

    with pytest.raises(BadZipFile):
        ZipFile(io.BytesIO(b"".join(sent)))


@pytest.mark.parametrize(
    ("finish", "output"), [(anonymized, bytes(10_000)), (analyzed, analysis(5))], ids=["pictures", "tables"]
)
def test_memory_does_not_grow_with_the_number_of_files(batches: Batches, finish: Any, output: bytes) -> None:
    batch_id = finish(batches, *[(f"{number}.jpg", output) for number in range(3000)])
    stream = result_archive(batches, batch_id)

    tracemalloc.start()
    for _ in stream:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 3000 * len(output) / 5
