"""The GitHub workflow that publishes the package on PyPI."""

import re
import subprocess
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
    assert "make test-wheel" in [step.get("run") for step in BUILD["steps"]]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "secrets." not in FILE.read_text()
