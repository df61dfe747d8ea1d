"""The API documentation page: complete, safe, and with examples that work when pasted."""

import html
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import requests
from flask.testing import FlaskClient

from tests.support.contract import CONTRACT
from tests.support.service import Service, serving
from visage.settings import Settings
from visage.web import create_app

COMMANDS = {
    "curl": ["bash", "-e", "-o", "pipefail", "-c"],
    "Python, with requests": [sys.executable, "-c"],
    "JavaScript, in Node": ["node", "--input-type=module", "--eval"],
}
OPERATIONS = [operation["operationId"] for methods in CONTRACT["paths"].values() for operation in methods.values()]
TOKEN = "a-token-of-the-tests"


@pytest.fixture
def public(tiny_pack: Path) -> FlaskClient:
    """A service that may have any host name."""
    return create_app(Settings(pack=str(tiny_pack), allowed_hosts=("*",))).test_client()


@pytest.fixture(scope="module")
def page(service: Service) -> str:
    return requests.get(f"{service.url}/docs", timeout=60).text


@pytest.fixture
def photo(tmp_path: Path, tiny_jpeg: bytes) -> Path:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(tiny_jpeg)
    return photo


def section(page: str, operation: str) -> str:
    return page.partition(f'<section class="panel" id="{operation}"')[2].partition("</section>")[0]


def paste(page: str, operation: str, language: str, photo: Path) -> str:
    """Run an example as the page shows it, in the folder of the photo, and return its output."""
    command = COMMANDS[language]
    if shutil.which(command[0]) is None or (language == "curl" and shutil.which("curl") is None):
        pytest.skip(f"needs the command {command[0]}")
    found = re.search(rf'<code data-language="{language}">(.*?)</code>', section(page, operation), re.DOTALL)
    assert found is not None
    example = html.unescape(found[1])
    ended = subprocess.run(
        [*command, example], cwd=photo.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("language", COMMANDS)
def test_the_example_of_predict_works_when_pasted(page: str, photo: Path, language: str) -> None:
    printed = paste(page, "predict", language, photo)

    assert "Female" in printed


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize(
    ("operation", "picture"), [("analyze", "faces.jpg"), ("anonymize", "anonymous.jpg"), ("enhance", "larger.jpg")]
)
def test_an_example_that_writes_a_picture_works_when_pasted(
    page: str, photo: Path, operation: str, picture: str, language: str
) -> None:
    paste(page, operation, language, photo)

    drawn = cv2.imread(str(photo.parent / picture))
    assert drawn is not None
    assert drawn.shape[0] == (1152 if operation == "enhance" else 384)


@pytest.mark.parametrize("language", COMMANDS)
def test_the_example_of_batches_works_when_pasted(page: str, photo: Path, language: str) -> None:
    paste(page, "submit_batch", language, photo)

    assert zipfile.ZipFile(photo.parent / "result.zip").namelist() == ["photo.jpg"]


@pytest.fixture(scope="module")
def protected(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that requires a token, with one worker and one batch job."""
    log = tmp_path_factory.mktemp("protected") / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1", VISAGE_API_TOKEN=TOKEN) as service:
        yield service


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize("operation", ["predict", "analyze", "anonymize", "enhance", "submit_batch"])
def test_the_examples_of_a_service_with_a_token_send_it(
    protected: Service, photo: Path, operation: str, language: str
) -> None:
    page = requests.get(f"{protected.url}/docs", timeout=60).text

    printed = paste(page.replace("TOKEN", TOKEN), operation, language, photo)

    # curl's examples write an error to the file, too.
    assert "unauthorized" not in printed
    assert [each.name for each in photo.parent.iterdir() if b"unauthorized" in each.read_bytes()] == []


def test_the_examples_of_a_service_without_a_token_have_none(client: FlaskClient) -> None:
    assert "TOKEN" not in client.get("/docs").text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_a_request_a_response_and_a_form(client: FlaskClient, operation: str) -> None:
    shown = section(client.get("/docs").text, operation)

    assert '<code data-language="curl">' in shown
    assert re.search(r'<code class="sample">HTTP/1.1 20\d ', shown)
    assert '<form data-method="' in shown


def test_the_page_works_below_a_path(service: Service) -> None:
    page = requests.get(f"{service.url}/docs", headers={"X-Forwarded-Prefix": "/tools/visage"}, timeout=60).text

    assert f"curl -F image=@photo.jpg &#39;{service.url}/tools/visage/predict?" in page
    assert re.findall(r'(?:href|src|action)="(?:/|https?:)', page) == []


def test_the_address_of_a_batch_is_below_the_path_of_the_proxy(service: Service, tiny_png: bytes) -> None:
    batch = requests.post(
        f"{service.url}/batches",
        files={"files": ("photo.png", tiny_png)},
        headers={"X-Forwarded-Prefix": "/tools/visage"},
        timeout=60,
    )

    assert batch.headers["Location"] == f"/tools/visage/batches/{batch.json()['id']}"


def test_every_operation_and_every_parameter_is_on_the_page(client: FlaskClient) -> None:
    page = client.get("/docs").text

    parameters = {parameter["name"] for parameter in CONTRACT["components"]["parameters"].values()}
    assert [each for each in OPERATIONS if f'<section class="panel" id="{each}"' not in page] == []
    assert [each for each in parameters if f"<code>{each}</code>" not in page] == []


def test_every_error_code_of_the_contract_is_on_the_page(client: FlaskClient) -> None:
    page = client.get("/docs").text

    codes = {
        code
        for response in CONTRACT["components"]["responses"].values()
        for code in response["content"]["application/json"]["examples"]
    }
    assert {"queue_full", "bad_parameter", "unauthorized", "batch_not_found"} <= codes
    assert [code for code in codes if f"<code>{code}</code>" not in page] == []


def test_every_link_of_the_page_has_a_target(client: FlaskClient) -> None:
    page = client.get("/docs").text

    targets = set(re.findall(r'href="#([^"]+)"', page))

    assert targets
    assert [target for target in targets if f'id="{target}"' not in page] == []


def test_the_examples_have_the_url_of_the_request(public: FlaskClient) -> None:
    page = public.get("/docs", headers={"Host": "photos.example:81"}).text

    assert "http://photos.example:81/predict" in page
    assert "localhost" not in page


def test_the_host_name_is_escaped(public: FlaskClient) -> None:
    page = public.get("/docs", headers={"Host": "<script>alert(1)</script>"}).text

    assert "<script>" not in page


def test_the_page_is_smaller_than_145_kilobytes_and_has_no_script_of_its_own(client: FlaskClient) -> None:
    response = client.get("/docs")

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert len(response.data) < 145_000
    assert re.findall(r"<script.*", response.text) == ['<script type="module" src="static/docs.js"></script>']
    assert re.findall(r"<style|\bstyle=|\bon\w+=", re.sub(r"<pre.*?</pre>", "", response.text, flags=re.DOTALL)) == []
