"""The code on the pages of docs/: it works when pasted, and stands in for other services as its page says."""

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.paths import ROOT
from tests.support.service import Service, serving

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"
PHOTO = base64.b64encode(ASTRONAUT.read_bytes()).decode()
CAPABILITIES = ("find-faces", "anonymize", "enhance", "batches")
COMMANDS = {"python": [sys.executable, "-c"], "javascript": ["node", "--input-type=module", "--eval"]}


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code in a language on a page."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the bundled pack, one worker and one batch job."""
    log = tmp_path_factory.mktemp("own") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1") as service:
        yield service


CODE = [
    pytest.param(language, code, id=f"{page} {language} {number}")
    for page in CAPABILITIES
    for language in COMMANDS
    for number, code in enumerate(blocks(page, language))
]


@pytest.mark.parametrize("page", CAPABILITIES)
def test_the_page_of_a_capability_has_examples_in_curl_python_and_javascript(page: str) -> None:
    assert [language for language in COMMANDS if not blocks(page, language)] == []
    assert any("curl " in code for code in blocks(page, "console"))


@pytest.mark.parametrize(("language", "code"), CODE)
def test_code_of_a_page_works_when_pasted(own: Service, tmp_path: Path, language: str, code: str) -> None:
    if shutil.which(COMMANDS[language][0]) is None:
        pytest.skip(f"needs the command {COMMANDS[language][0]}")
    shutil.copy(ASTRONAUT, tmp_path / "photo.jpg")

    ended = subprocess.run(
        [*COMMANDS[language], code.replace("http://localhost:8080", own.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    made = [each for each in tmp_path.iterdir() if each.name != "photo.jpg"]
    assert made or "Female" in ended.stdout
    assert [each.name for each in made if each.stat().st_size < 10_000] == []


def stand_in(number: int) -> dict[str, Any]:
    """The names that a block of code of `coming-from.md` defines."""
    names: dict[str, Any] = {}
    exec(blocks("coming-from", "python")[number], names)
    return names


@pytest.fixture
def face(own: Service) -> dict[str, Any]:
    """What Visage itself says about the astronaut."""
    (face,) = own.post(ASTRONAUT.read_bytes()).json()["faces"]
    return dict(face)


@pytest.mark.parametrize("prefix", ["data:image/jpeg;base64,", ""], ids=["data URL", "base64"])
def test_the_stand_in_for_deepface_has_the_fields_of_its_callers(
    own: Service, face: dict[str, Any], prefix: str
) -> None:
    img = prefix + PHOTO

    (found,) = stand_in(0)["deepface_analyze"](img, own.url)["results"]

    assert set(found) == {"age", "gender", "dominant_gender", "region", "face_confidence"}
    assert (found["dominant_gender"], found["age"]) == ("Woman", round(face["age_years"]))
    assert sum(found["gender"].values()) == pytest.approx(100, abs=0.1)
    region = found["region"]
    assert [region["x"], region["y"], region["x"] + region["w"], region["y"] + region["h"]] == face["bbox"]


def test_the_stand_in_for_compreface_has_the_fields_of_its_callers(own: Service, face: dict[str, Any]) -> None:
    with ASTRONAUT.open("rb") as photo:
        answer = stand_in(1)["compreface_detect"](photo, 1, 0.5, own.url)

    x_min, y_min, x_max, y_max = face["bbox"]
    assert answer["result"] == [
        {
            "age": {"probability": face["age_confidence"], "low": face["age_range"][0], "high": face["age_range"][1]},
            "gender": {"probability": face["gender_confidence"], "value": "female"},
            "box": {
                "probability": face["confidence"],
                "x_min": x_min,
                "y_min": y_min,
                "x_max": x_max,
                "y_max": y_max,
            },
        }
    ]


def test_the_file_of_a_call_to_compreface_is_read_unchanged(own: Service) -> None:
    url = f"{own.url}/predict"

    form = requests.post(url, files={"file": ASTRONAUT.read_bytes()}, headers={"x-api-key": "any"}, timeout=60)
    json = requests.post(url, json={"file": PHOTO}, headers={"x-api-key": "any"}, timeout=60)

    assert len(form.json()["faces"]) == len(json.json()["faces"]) == 1


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        ({"img": PHOTO, "actions": ["age", "gender"]}, "no_image", "'img'"),
        ({"file": PHOTO, "det_prob_threshold": 0.5}, "bad_parameter", "det_prob_threshold"),
        ({"images": {"data": [PHOTO]}, "threshold": 0.6}, "no_image", "'images'"),
    ],
    ids=["deepface", "CompreFace", "InsightFace-REST"],
)
def test_an_unchanged_call_to_another_service_gets_an_error_that_names_what_to_change(
    own: Service, body: dict[str, Any], code: str, names: str
) -> None:
    response = requests.post(f"{own.url}/predict", json=body, timeout=60)

    assert (response.status_code, response.json()["code"]) == (400, code)
    assert names in response.json()["error"]
