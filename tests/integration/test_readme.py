"""The README: its commands work when pasted, and its tables name what exists."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.service import Service
from visage.cli import main
from visage.errors import BatchError, BusyError, RequestError, VisageError

README = (ROOT / "README.md").read_text()
LINES = [line for line in README.splitlines() if line.startswith("curl ")]
BATCH_LINES = [line for line in LINES if "/batches" in line]
CURL_LINES = [line for line in LINES if line not in BATCH_LINES]


def test_there_are_curl_examples() -> None:
    assert len(CURL_LINES) >= 5


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the command curl")
@pytest.mark.parametrize("line", CURL_LINES)
def test_a_curl_example_works_when_pasted(service: Service, tmp_path: Path, line: str) -> None:
    shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / "photo.jpg")
    command = line.replace("http://localhost:8080", service.url)

    ended = subprocess.run(
        ["bash", "-c", f"{command} --fail --silent --show-error"], cwd=tmp_path, capture_output=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    target = re.search(r"-o (\S+)", line)
    content = (tmp_path / target[1]).read_bytes() if target else ended.stdout
    if target is None:
        assert json.loads(content)["image"] == {"width": 512, "height": 512}
    else:
        assert content.startswith(b"--" if target[1].endswith(".multipart") else b"\xff\xd8\xff")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the command curl")
def test_the_curl_examples_of_batches_work_when_pasted_one_after_the_other(service: Service, tmp_path: Path) -> None:
    for name in ("one.jpg", "two.jpg"):
        shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / name)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(tmp_path / "one.jpg", "one.jpg")

    def paste(line: str) -> str:
        command = line.replace("http://localhost:8080", service.url).replace("ID", batch_id)
        ended = subprocess.run(
            ["bash", "-c", f"{command} --fail --silent --show-error"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout

    batch_id = "ID"
    form, archived, show, watch, fetch, delete = BATCH_LINES
    batch_id = json.loads(paste(form))["id"]
    assert json.loads(paste(archived))["task"] == "predict"
    assert json.loads(paste(show))["total"] == 2
    assert "event: end" in paste(watch)
    paste(fetch)
    assert zipfile.ZipFile(tmp_path / "result.zip").namelist() == ["one.jpg", "two.jpg"]
    paste(delete)
    with pytest.raises(subprocess.CalledProcessError):
        paste(show)


@pytest.mark.parametrize("line", [line for line in README.splitlines() if line.startswith("visage ")])
def test_a_command_of_the_readme_exists(line: str) -> None:
    command: Any = main
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]

    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_every_error_code_is_in_the_readme() -> None:
    def codes(kind: type[VisageError]) -> set[str]:
        return {kind.code}.union(*map(codes, kind.__subclasses__()))

    documented = set(re.findall(r"`([a-z_]+)`", README))

    asked = codes(RequestError) | codes(BatchError) | codes(BusyError)
    assert asked - {BatchError.code, BusyError.code} <= documented


def test_every_link_into_the_repo_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)

    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
