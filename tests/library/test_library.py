"""Visage as a library: bytes, paths and arrays; nets at the first use; many threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import visage
from tests.support.paths import ROOT
from visage import library

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"
BYTES = ASTRONAUT.read_bytes()
PIXELS = np.asarray(cv2.imread(str(ASTRONAUT)), np.uint8)


@pytest.mark.parametrize("photo", [BYTES, ASTRONAUT, str(ASTRONAUT), PIXELS], ids=["bytes", "path", "text", "array"])
def test_a_photo_may_be_bytes_a_path_or_an_array(photo: Any) -> None:
    (face,) = visage.analyze(photo).faces

    assert (face.gender, face.age) == ("Female", "20-29")


def test_the_annotated_picture_is_made_on_request() -> None:
    assert visage.analyze(BYTES).annotated is None
    assert (visage.analyze(BYTES, annotated=True).annotated or b"").startswith(b"\xff\xd8")


def test_an_anonymized_array_comes_back_with_the_same_pixels_outside_the_mask() -> None:
    result = visage.anonymize(PIXELS, visage.AnonymizeOptions(mask=visage.Mask(visage.Method.SOLID)))

    hidden = np.asarray(cv2.imdecode(np.frombuffer(result.picture, np.uint8), cv2.IMREAD_COLOR))
    assert (result.format, len(result.faces)) == ("BMP", 1)
    assert np.array_equal(hidden[300:], PIXELS[300:])
    assert not np.array_equal(hidden, PIXELS)


def test_an_enhanced_photo_keeps_its_format() -> None:
    small = cv2.imencode(".png", PIXELS[:40, :60])[1].tobytes()

    result = visage.enhance(small, visage.EnhanceOptions(2))

    assert (result.width, result.height, result.format) == (120, 80, "PNG")


@pytest.mark.parametrize("array", [PIXELS[..., 0], PIXELS.astype(float), PIXELS[:0]], ids=["gray", "float", "empty"])
def test_an_array_of_another_kind_is_an_error_that_says_what_it_must_be(array: Any) -> None:
    with pytest.raises(ValueError, match=r"must be \(height, width, 3\) of uint8"):
        visage.analyze(array)


def test_a_file_that_is_no_photo_is_an_error_of_visage() -> None:
    with pytest.raises(visage.VisageError, match="GIF is not accepted"):
        visage.analyze(b"GIF89a")


def test_more_threads_than_cores_get_the_result_of_one() -> None:
    expected = visage.analyze(BYTES).faces

    with ThreadPoolExecutor(12) as threads:
        found = [each.faces for each in threads.map(visage.analyze, 24 * [BYTES])]

    assert found == 24 * [expected]


def test_the_package_exports_the_functions_with_the_types_of_their_arguments_and_results() -> None:
    assert set(visage.__all__) - {"__version__"} == set(library.__all__)
    assert visage.analyze(BYTES, visage.AnalyzeOptions(min_confidence=1.0)).faces == ()


def test_an_unknown_attribute_is_the_usual_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'analyse'"):
        _ = visage.analyse


@pytest.mark.parametrize("package", ["anonymize", "enhance"])
def test_a_package_of_the_same_name_can_be_called_whichever_is_imported_first(tmp_path: Path, package: str) -> None:
    call = f"print(visage.{package}({str(ASTRONAUT)!r}).format)"

    assert run(f"import visage\n{call}", tmp_path) == "JPEG\n"
    assert run(f"import visage, visage.{package}\n{call}", tmp_path) == "JPEG\n"


def run(code: str, directory: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=True
    ).stdout


def test_the_import_loads_no_other_package(tmp_path: Path) -> None:
    code = "import sys, visage; print({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"

    assert "cv2" not in run(code, tmp_path)


def test_the_library_needs_opencv_and_numpy_alone(tmp_path: Path) -> None:
    others = (
        "flask",
        "click",
        "tqdm",
        "PIL",
        "pi_heif",
        "requests",
        "cachetools",
        "huey",
        "fsspec",
        "orjson",
        "pydantic",
    )
    code = f"""import sys
sys.modules.update(dict.fromkeys({others!r}))
import visage
print(len(visage.analyze({str(ASTRONAUT)!r}).faces))"""

    assert run(code, tmp_path) == "1\n"
