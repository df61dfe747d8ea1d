"""The GitHub workflow that publishes the package on PyPI."""

import re
import subprocess
import tomllib
from typing import Any

import yaml

from tests.support.deployment import needs, tool
from tests.support.paths import ROOT

FILE = ROOT / ".github" / "workflows" / "release.yaml"
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text())
BUILD, PUBLISH = WORKFLOW["jobs"]["build"], WORKFLOW["jobs"]["publish"]


@needs("check-jsonschema")
def test_the_workflow_matches_the_schema_of_github() -> None:
    command = [str(tool("check-jsonschema")), "--builtin-schema", "vendor.github-workflows", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_actions_are_pinned_and_jobs_have_a_timeout() -> None:
    used = [step["uses"] for job in (BUILD, PUBLISH) for step in job["steps"] if "uses" in step]

    assert [action for action in used if not re.fullmatch(r"(actions|pypa)/[\w-]+@[0-9a-f]{40}", action)] == []
    assert BUILD["timeout-minutes"]
    assert PUBLISH["timeout-minutes"]


def test_a_tag_publishes_without_a_stored_secret_what_the_tests_accepted() -> None:
    assert PUBLISH["if"] == "github.ref_type == 'tag'"
    assert (PUBLISH["needs"], PUBLISH["environment"], PUBLISH["permissions"]) == (
        "build",
        "pypi",
        {"id-token": "write"},
    )
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "secrets." not in FILE.read_text()


def test_the_published_files_are_those_that_the_tests_built() -> None:
    steps = [step.get("run") or step["uses"].split("@")[0] for step in BUILD["steps"]]
    upload = BUILD["steps"][steps.index("actions/upload-artifact")]
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.findall(r"^test-wheel:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[0]

    assert steps.index("make test-wheel") < steps.index("actions/upload-artifact")
    assert [step for step in steps if "-m build" in step] == []
    assert upload["with"]["path"] == "dist/"
    assert "-m build" in recipe
    assert "DIST=dist " in recipe


def test_a_tag_must_be_the_version_of_the_built_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    sdist = f"{project['name'].replace('-', '_')}-${{GITHUB_REF_NAME#v}}.tar.gz"

    assert f'test -f "dist/{sdist}"' in [step.get("run") for step in BUILD["steps"]]
