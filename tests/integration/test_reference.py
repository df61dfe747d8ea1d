"""A pack of real nets on real photographs: faces, genders, orientations and parallel requests."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from tests.support.service import Service
from visage.faces.analyzer import AnalyzeOptions, Analyzer, decode_for
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.images.decoding import decode, inspect
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector, correct_prior_steps
from visage.packs.pack import read_pack
from visage.runtime.engine import Engine
from visage.settings import Settings

# Faces as x1, y1, x2, y2 in pixels, marked by hand: forehead to chin, cheek to cheek.
MEN = {
    "biden.jpg": [(440, 170, 720, 580)],
    "obama.jpg": [(370, 90, 610, 430)],
    "obama_and_biden.jpg": [(755, 385, 940, 650), (1140, 355, 1335, 610)],
    "two_people.jpg": [(228, 20, 392, 226), (785, 40, 945, 255)],
}

# A girl in profile in the lower right corner of obama_and_biden.jpg.
GIRL = (1640, 1040, 1790, 1230)


@pytest.fixture(scope="module")
def engine(reference_pack: Path) -> Engine:
    engine = Engine(Settings(pack=str(reference_pack), slots=2, queue=100, wait_seconds=60))
    engine.warm_up()
    return engine


def iou(face: Face, marked: tuple[int, int, int, int]) -> float:
    """Intersection over union of a face and a marked box."""
    box = face.box
    width = min(box.x2, marked[2]) - max(box.x1, marked[0])
    height = min(box.y2, marked[3]) - max(box.y1, marked[1])
    shared = max(0, width) * max(0, height)
    return shared / (box.area + (marked[2] - marked[0]) * (marked[3] - marked[1]) - shared)


@pytest.mark.parametrize("name", MEN)
def test_detail_fast_finds_each_man_once_and_nothing_else(engine: Engine, photos: Path, name: str) -> None:
    faces = engine.analyze((photos / name).read_bytes(), AnalyzeOptions(detail=Detail.FAST)).faces

    assert len(faces) == len(MEN[name])
    for marked in MEN[name]:
        assert max(iou(face, marked) for face in faces) > 0.6


def test_the_thorough_search_finds_a_girl_in_the_background(engine: Engine, photos: Path) -> None:
    faces = engine.analyze((photos / "obama_and_biden.jpg").read_bytes(), AnalyzeOptions(detail=Detail.HIGH)).faces

    assert len(faces) == 3
    assert iou(faces[2], GIRL) > 0.6


@pytest.mark.parametrize("name", MEN)
def test_the_men_are_classified_as_adult_men(engine: Engine, photos: Path, name: str) -> None:
    faces = engine.analyze((photos / name).read_bytes()).faces

    men = [face for face in faces if any(iou(face, marked) > 0.6 for marked in MEN[name])]
    assert len(men) == len(MEN[name])
    assert {face.gender for face in men} == {"Male"}
    assert all(face.age_range[0] >= 25 for face in men)


def test_the_girl_is_classified_as_female(reference_pack: Path, photos: Path) -> None:
    analyzer = Analyzer(read_pack(reference_pack))
    data = (photos / "obama_and_biden.jpg").read_bytes()
    photo = decode_for(Detail.HIGH, data, inspect(data, 100_000_000))

    # The detector's own box depends on the passes of the search.
    box = Detections(np.array([GIRL], np.float32) * np.float32(photo.scale), np.ones(1, np.float32))

    assert analyzer.describe(photo, box)[0].gender == "Female"


def tight_portrait(photos: Path) -> bytes:
    """A PNG of a face with margins of a fifth of its size."""
    with Image.open(photos / "obama.jpg") as portrait:
        picture = io.BytesIO()
        portrait.crop((327, 9, 648, 493)).save(picture, "PNG")
    return picture.getvalue()


@pytest.mark.parametrize("detail", list(Detail))
def test_a_tight_portrait_is_one_face(engine: Engine, photos: Path, detail: Detail) -> None:
    assert len(engine.analyze(tight_portrait(photos), AnalyzeOptions(detail=detail)).faces) == 1


def test_the_official_prior_steps_find_two_faces_in_a_tight_portrait(
    reference_pack: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tight_portrait(photos)
    pixels = decode(data, inspect(data, 10**8)).pixels
    corrected = FaceDetector(read_pack(reference_pack).face)
    monkeypatch.setattr("visage.nets.detector.correct_prior_steps", lambda prototxt: prototxt)
    official = FaceDetector(read_pack(reference_pack).face)

    faces = {
        name: (net.detect(pixels, (300, 300)).confidences > 0.5).sum()
        for name, net in (("corrected", corrected), ("official", official))
    }

    assert faces == {"corrected": 1, "official": 2}


def collage(photos: Path, columns: int, cell: int) -> NDArray[np.uint8]:
    """`columns` x `columns` copies of a photo with one face: `(columns * cell, columns * cell, 3) uint8 RGB`."""
    with Image.open(photos / "obama.jpg") as portrait:
        square = np.asarray(portrait.crop((145, 0, 845, 700)).resize((cell, cell), Image.Resampling.LANCZOS))
    return np.tile(square, (columns, columns, 1))


def test_finer_detection_passes_find_small_faces(engine: Engine, photos: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(collage(photos, columns=8, cell=100)).save(picture, "PNG")

    counts = {
        detail.value: len(engine.analyze(picture.getvalue(), AnalyzeOptions(detail=detail)).faces) for detail in Detail
    }

    assert counts == {"fast": 0, "auto": 64, "high": 64}


def test_correcting_the_prior_steps_does_not_change_the_file(reference_pack: Path) -> None:
    spec = read_pack(reference_pack).face
    official = spec.prototxt.read()

    corrected = correct_prior_steps(official)

    assert official.count(b"step:") - corrected.count(b"step:") == 2
    assert spec.prototxt.read() == official


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_faces(engine: Engine, photos: Path, orientation: int) -> None:
    transpositions = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    with Image.open(photos / "two_people.jpg") as upright:
        stored = upright.copy()
    transposition = transpositions[orientation - 1]
    if transposition is not None:
        stored = stored.transpose(transposition)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rotated, plain = io.BytesIO(), io.BytesIO()
    stored.save(rotated, "PNG", exif=exif.tobytes())
    with Image.open(photos / "two_people.jpg") as upright:
        upright.save(plain, "PNG")

    analysis = engine.analyze(rotated.getvalue())

    assert (analysis.width, analysis.height) == (1126, 661)
    assert analysis.faces == engine.analyze(plain.getvalue()).faces


def faces_of(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["faces"]


def test_two_parallel_requests_get_the_same_faces_as_a_single_one(reference_service: Service, photos: Path) -> None:
    photo = (photos / "two_people.jpg").read_bytes()
    alone = faces_of(reference_service.post(photo))

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: faces_of(reference_service.post(photo)), range(2)))

    assert together == [alone, alone]


def test_forty_parallel_requests_get_the_same_faces_as_single_ones(reference_service: Service, photos: Path) -> None:
    contents = [path.read_bytes() for path in sorted(photos.glob("*.jpg"))]
    alone = [faces_of(reference_service.post(content)) for content in contents]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda content: faces_of(reference_service.post(content)), contents * 10))

    assert together == alone * 10
