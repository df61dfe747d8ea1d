"""What the package needs: the extra `serve` asks for what the service is tested with."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT

with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)["project"]

# Packages of other packages, which requirements.txt pins, too.
INDIRECT = {"blinker", "itsdangerous", "jinja2", "markupsafe", "werkzeug"} | {
    "certifi",
    "charset-normalizer",
    "idna",
    "urllib3",
}


def pinned() -> dict[str, str]:
    """The versions of requirements.txt on this machine, by package."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        each.name: next(iter(each.specifier)).version for each in found if each.marker is None or each.marker.evaluate()
    }


def required(*extras: str) -> dict[str, Requirement]:
    """What `visage-faces[extras]` requires, by package."""
    texts = [*PROJECT["dependencies"]]
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    found = {each.name: each for each in map(Requirement, texts)}
    own = found.pop(PROJECT["name"], None)
    return found | (required(*own.extras) if own else {})


def test_the_service_gets_the_packages_that_it_is_tested_with() -> None:
    assert set(required("serve")) == set(pinned()) - INDIRECT


def test_the_tested_versions_satisfy_the_package() -> None:
    versions = pinned()

    assert [str(each) for name, each in required("serve").items() if versions[name] not in each.specifier] == []


def test_without_extras_only_the_nets_and_the_command_need_packages() -> None:
    assert set(required()) == {"opencv-python-headless", "numpy", "click", "tqdm"}


def test_the_extras_are_the_documented_ones() -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text()

    assert [extra for extra in PROJECT["optional-dependencies"] if f"| `{extra}` |" not in text] == []


# PyPI's "visage" is another project.
STRANGER = r"install '?visage\b(?!-)|visage\[|run visage "


def test_no_file_tells_users_to_install_the_package_of_another_project() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository: its list of files tells what is ours")
    command = ["git", "grep", "-nIP", STRANGER, "--", "*.md", "*.toml", "*.py", "Makefile", ":!tests"]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout) == (1, "")


def test_the_pages_name_the_wheel_that_is_built() -> None:
    wheel = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}-py3-none-any.whl"
    text = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

    assert set(re.findall(r"[\w.-]+\.whl", text)) == {wheel}


# The names under which Python imports the packages of the extras.
IMPORTED_AS = {
    "flask-cors": "flask_cors",
    "pi-heif": "pi_heif",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
}
OF_EXTRAS = {IMPORTED_AS.get(name, name) for name in set(required("serve", "redis", "s3")) - set(required())}


@pytest.mark.parametrize("command", ["predict", "anonymize", "enhance"])
def test_the_command_processes_photos_without_the_packages_of_extras(tmp_path: Path, command: str) -> None:
    code = f"""import sys
sys.modules.update(dict.fromkeys({OF_EXTRAS!r}))
from visage.cli import main
main(["{command}", {str(ROOT / "docs" / "astronaut.jpg")!r}, "-o", "out"])"""

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)

    assert [each.suffix for each in (tmp_path / "out").glob("*.jpg")] == [".jpg"]
