"""The pack `compact`: it is the default, its predictions on known photos, and the sample response in the docs."""

import base64
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.service import Service, serving
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.images.boxes import intersection_over_union
from visage.nets.classifier import Classifier
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import find_pack
from visage.runtime.engine import Engine
from visage.settings import Settings

Pixels = NDArray[np.uint8]

# The face of Eileen Collins, then 36 years old, as x1, y1, x2, y2 in pixels: marked by hand, forehead to chin.
FACE = (177, 65, 270, 178)


@pytest.fixture(scope="module")
def compact_engine() -> Engine:
    engine = Engine(Settings())
    engine.warm_up()
    return engine


@pytest.fixture(scope="module")
def default_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real service with the default settings, but two workers and a long queue."""
    log = tmp_path_factory.mktemp("default_service") / "log"
    settings = {"WEB_CONCURRENCY": "2", "VISAGE_QUEUE": "64", "VISAGE_WAIT_SECONDS": "60"}
    with serving(log, Settings().pack, **settings) as service:
        yield service


def tiled(astronaut: Pixels, columns: int, cell: int) -> bytes:
    """A PNG of `columns` x `columns` portraits of `cell` pixels a side."""
    portrait = Image.fromarray(astronaut[10:250, 100:340, ::-1]).resize((cell, cell), Image.Resampling.LANCZOS)
    return encode(np.tile(np.asarray(portrait)[..., ::-1], (columns, columns, 1)), "PNG")


def faces_of(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"]


def test_it_is_the_default_pack() -> None:
    assert find_pack(Settings().pack).folder == ROOT / "models" / "compact"


def test_it_has_at_most_four_megabytes() -> None:
    assert sum(file.path.stat().st_size for file in find_pack("compact").files) <= 4_000_000


def test_its_files_match_the_checksums_of_the_manifest() -> None:
    assert all(file.read() for file in find_pack("compact").files)


def test_both_classifiers_share_their_preprocessing() -> None:
    pack = find_pack("compact")

    assert Classifier(pack.gender).preprocessing == Classifier(pack.age).preprocessing


def test_the_astronaut_is_classified_as_a_woman_of_about_36_years(
    default_service: Service, astronaut_png: bytes
) -> None:
    (face,) = faces_of(default_service.post(astronaut_png))

    marked = np.array([FACE], np.float32)
    assert intersection_over_union(np.array([face["bbox"]], np.float32), marked) > 0.6
    assert face["gender"] == "Female"
    assert face["age"] in {"20-29", "30-39", "40-49"}


def test_the_annotated_image_has_a_box_around_the_astronauts_face(
    default_service: Service, astronaut: Pixels, astronaut_png: bytes
) -> None:
    answer = default_service.post(astronaut_png).json()
    with Image.open(io.BytesIO(base64.b64decode(answer["annotated_jpeg"]))) as picture:
        annotated = np.asarray(picture)[..., ::-1].astype(int)

    changed = np.abs(annotated - astronaut).max(axis=2) > 60

    x1, y1, x2, y2 = answer["faces"][0]["bbox"]
    assert annotated.shape == astronaut.shape
    assert changed[y1 : y2 + 1, [x1, x2 - 1]].mean() > 0.8
    assert changed[:, : x1 - 60].mean() < 0.01
    inside = changed[y1 + 10 : y2 - 10, x1 + 10 : x2 - 10]
    assert inside.mean() < 0.05


@pytest.mark.parametrize(("columns", "cell"), [(2, 240), (4, 180), (6, 120), (10, 80)])
@pytest.mark.parametrize("detail", [Detail.AUTO, Detail.HIGH])
def test_every_face_of_a_crowd_is_found_once(
    compact_engine: Engine, astronaut: Pixels, columns: int, cell: int, detail: Detail
) -> None:
    faces = compact_engine.analyze(tiled(astronaut, columns, cell), AnalyzeOptions(detail=detail)).faces

    cells = {((face.box.x1 + face.box.x2) // 2 // cell, (face.box.y1 + face.box.y2) // 2 // cell) for face in faces}
    assert len(faces) == columns * columns
    assert len(cells) == columns * columns


def test_a_plain_portrait_takes_one_pass_at_half_the_base_scale(
    compact_engine: Engine, astronaut_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[int, int]] = []
    detect = FaceDetector.detect

    def recorded(self: FaceDetector, pixels: Pixels, size: tuple[int, int]) -> Detections:
        passes.append(size)
        return detect(self, pixels, size)

    monkeypatch.setattr(FaceDetector, "detect", recorded)

    compact_engine.analyze(astronaut_png)

    assert passes == [(261, 261)]


@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 4])
def test_the_astronaut_is_classified_as_a_woman_at_any_size(
    compact_engine: Engine, astronaut: Pixels, scale: float
) -> None:
    side = round(512 * scale)
    resized = Image.fromarray(astronaut[..., ::-1]).resize((side, side), Image.Resampling.LANCZOS)

    (face,) = compact_engine.analyze(encode(np.asarray(resized)[..., ::-1], "PNG")).faces

    assert face.gender == "Female"


def test_forty_parallel_requests_get_the_same_faces_as_single_ones(default_service: Service, astronaut: Pixels) -> None:
    photos = [tiled(astronaut, columns, 100) for columns in (1, 2, 3, 5)]
    alone = [faces_of(default_service.post(photo)) for photo in photos]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda photo: faces_of(default_service.post(photo)), photos * 10))

    assert [len(faces) for faces in alone] == [1, 4, 9, 25]
    assert together == alone * 10


def test_the_docs_show_the_actual_response(default_service: Service) -> None:
    sample = next(
        block for block in re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    )
    shown = json.loads(sample.replace('"…": 0.0', '"…": null'))

    answer = default_service.post((ROOT / "docs" / "astronaut.jpg").read_bytes(), annotated="false").json()

    assert shown["image"] == answer["image"]
    assert shown["model"] == answer["model"]
    assert shown["timings_ms"].keys() == answer["timings_ms"].keys()
    (shown_face,), (face,) = shown["faces"], answer["faces"]
    assert shown_face.keys() == face.keys()
    assert shown_face["bbox"] == pytest.approx(face["bbox"], abs=2)
    for name in ("confidence", "gender_confidence", "age_confidence"):
        assert shown_face[name] == pytest.approx(face[name], abs=0.01)
    assert shown_face["age_years"] == pytest.approx(face["age_years"], abs=0.5)
    for name in ("gender", "age", "age_range"):
        assert shown_face[name] == face[name]
    for name in ("gender_probabilities", "age_probabilities"):
        assert {label: face[name][label] for label in shown_face[name] if label != "…"} == pytest.approx(
            {label: value for label, value in shown_face[name].items() if label != "…"}, abs=0.01
        )


def test_the_model_card_names_every_age_group_the_data_and_forbidden_uses() -> None:
    card = (ROOT / "models" / "compact" / "MODEL_CARD.md").read_text()

    assert all(f"| {label} |" in card for label in find_pack("compact").age.labels)
    for word in ("FairFace", "CC BY 4.0", "YuNet", "SOURCES.md", "must not"):
        assert word in card


def test_the_licence_of_yunet_lies_beside_the_weights_that_derive_from_it() -> None:
    notice = (ROOT / "models" / "compact" / "LICENSE.yunet").read_text()

    assert "Copyright (c) 2020 Shiqi Yu" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice
