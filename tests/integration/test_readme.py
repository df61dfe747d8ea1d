"""The README and the pages of docs/: their commands work when pasted, and their tables name what exists."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.service import Service
from visage.cli import main
from visage.errors import BatchError, BusyError, RequestError, VisageError

README = (ROOT / "README.md").read_text()
DOCS = {page.name: page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))}
CARD = ROOT / "models" / "compact" / "MODEL_CARD.md"
PAGES = {"README.md": README, "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(), **DOCS}


def starting_with(word: str) -> list[tuple[str, str]]:
    """Page and line of every line that begins with `word`."""
    return [(name, line) for name, page in PAGES.items() for line in page.splitlines() if line.startswith(f"{word} ")]


CURL_LINES = starting_with("curl")
PHOTO_LINES = [(name, line) for name, line in CURL_LINES if "photo.jpg" in line]
BATCH_LINES = [line for name, line in CURL_LINES if name == "batches.md"]
BATCHES_OF_OTHER_PAGES = [(name, line) for name, line in CURL_LINES if "/batches" in line and name != "batches.md"]
PLAIN_LINES = [
    (name, line) for name, line in CURL_LINES if not re.search(r"photo\.jpg|/batches", line) and name != "batches.md"
]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs the command curl")


def paste(line: str, service: Service, folder: Path) -> bytes:
    """Run a line as a reader would, in `folder` and against `service`; what it prints."""
    command = line.replace("http://localhost:8080", service.url)
    ended = subprocess.run(
        ["bash", "-c", f"{command} --fail --silent --show-error"], cwd=folder, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages speak of."""
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / name)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "one.jpg", "one.jpg")
    return tmp_path


def test_there_are_curl_examples() -> None:
    assert len([line for name, line in PHOTO_LINES if name == "README.md"]) >= 4
    assert len(PHOTO_LINES) >= 15
    assert len(BATCHES_OF_OTHER_PAGES) == 1


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.splitlines()) <= 150


@needs_curl
@pytest.mark.parametrize(("page", "line"), PHOTO_LINES)
def test_a_curl_example_works_when_pasted(service: Service, folder: Path, page: str, line: str) -> None:
    printed = paste(line, service, folder)

    target = re.search(r"-o (\S+)", line)
    if target is None:
        # Of events, the last one has the result.
        size = json.loads(printed.rpartition(b"data: ")[2])["image"]
        side = 3 * 512 if "/enhance" in line else 512
        assert (size["width"], size["height"]) == (side, side)
    else:
        start = b"--" if target[1].endswith(".multipart") else b"\xff\xd8\xff"
        assert (folder / target[1]).read_bytes().startswith(start)


@needs_curl
@pytest.mark.parametrize(("page", "line"), PLAIN_LINES)
def test_a_curl_example_without_a_photo_works_when_pasted(service: Service, folder: Path, page: str, line: str) -> None:
    printed = paste(line, service, folder)

    assert b"visage_slots" in printed if line.endswith("/metrics") else json.loads(printed)["status"] in {"ok", "ready"}


@needs_curl
@pytest.mark.parametrize(("page", "line"), BATCHES_OF_OTHER_PAGES)
def test_a_curl_example_that_sends_a_batch_works_when_pasted(
    service: Service, folder: Path, page: str, line: str
) -> None:
    assert json.loads(paste(line, service, folder))["total"] == 2


@needs_curl
def test_the_curl_examples_of_batches_work_when_pasted_one_after_the_other(service: Service, folder: Path) -> None:
    form, archived, show, watch, fetch, delete, room = BATCH_LINES
    batch_id = json.loads(paste(form, service, folder))["id"]

    def follow(line: str) -> bytes:
        return paste(line.replace("ID", batch_id), service, folder)

    assert json.loads(paste(archived, service, folder))["task"] == "predict"
    assert json.loads(follow(show))["total"] == 2
    assert b"event: end" in follow(watch)
    follow(fetch)
    assert zipfile.ZipFile(folder / "result.zip").namelist() == ["one.jpg", "two.jpg"]
    follow(delete)
    with pytest.raises(AssertionError, match="404"):
        follow(show)
    assert json.loads(paste(room, service, folder))["left_bytes"] > 0


def test_the_library_example_of_the_quickstart_works_when_pasted(folder: Path) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", DOCS["quickstart.md"], re.MULTILINE | re.DOTALL)

    ended = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("Box(x1=")


@pytest.mark.parametrize(("page", "line"), starting_with("visage"))
def test_a_command_of_a_page_exists(page: str, line: str) -> None:
    command: Any = main
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]

    options = {option for parameter in command.params for option in parameter.opts}
    # A single "-" stands for stdin or stdout.
    assert {word for word in words if word.startswith("-") and word != "-"} <= options


def test_every_target_of_make_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+|\$\(VENV\)/\w+\.done):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES.values() for target in re.findall(r"(?:`|^|=\S+ )make ([a-z.][\w./-]*)", page, re.M)
    }

    assert {"run", "test", "docs", ".venv/serve.done"} <= named
    assert {target.replace(".venv", "$(VENV)") for target in named} <= targets


def test_every_module_that_a_page_runs_exists() -> None:
    modules = {
        module for page in PAGES.values() for module in re.findall(r"python -m ((?:benchmarks|training)[.\w]+)", page)
    }

    assert "benchmarks.start" in modules
    assert [module for module in modules if not (ROOT / f"{module.replace('.', '/')}.py").is_file()] == []


def test_every_error_code_is_in_the_table_of_the_api() -> None:
    def codes(kind: type[VisageError]) -> set[str]:
        return {kind.code}.union(*map(codes, kind.__subclasses__()))

    documented = set(re.findall(r"`([a-z_]+)`", DOCS["api.md"]))

    asked = codes(RequestError) | codes(BatchError) | codes(BusyError)
    assert asked - {BatchError.code, BusyError.code} <= documented


LINKS = [
    pytest.param(path.parent / target, section, id=f"{path.name} {target} {section}")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", CARD, *sorted((ROOT / "docs").glob("*.md")))
    for target, section in re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)", path.read_text())
]


@pytest.mark.parametrize(("target", "section"), LINKS)
def test_a_link_into_the_repo_leads_somewhere(target: Path, section: str) -> None:
    headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if section else []

    assert target.exists()
    assert section in ["", *(re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings)]


@pytest.mark.parametrize("page", DOCS)
def test_a_link_to_the_model_card_leads_to_its_file(page: str) -> None:
    targets = re.findall(r"\[model card\]\(([^)#]+)\)", DOCS[page], re.IGNORECASE)

    assert {(ROOT / "docs" / target).resolve() for target in targets} <= {CARD}


def test_every_file_of_the_repo_that_a_page_names_exists() -> None:
    named = {
        path
        for page in PAGES.values()
        for path in re.findall(r"`((?:visage|deploy|docker|docs|models|benchmarks|training)/[\w./-]+)`", page)
    }

    assert "deploy/compose.yaml" in named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
