"""The GitHub workflow that builds and publishes the image, and the smoke test that it runs."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployment import GRACEFUL_SECONDS, USER, needs, tool
from tests.support.paths import ROOT
from tests.support.service import Service, serving

GITHUB = ROOT / ".github"
FILE = GITHUB / "workflows" / "container.yaml"
# YAML 1.1 parses the key `on` as True, so keys are not only strings.
WORKFLOW: dict[Any, Any] = yaml.safe_load(FILE.read_text())
STEPS = {
    f"{job} {step.get('name') or step.get('uses') or step['run']}": step
    for job, content in WORKFLOW["jobs"].items()
    for step in content["steps"]
}
SCRIPTS = {name: step["run"] for name, step in STEPS.items() if "run" in step}
ALL_SCRIPTS = "\n".join(SCRIPTS.values())

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"


@needs("check-jsonschema")
@pytest.mark.parametrize(
    ("schema", "file"), [("github-workflows", FILE), ("dependabot", GITHUB / "dependabot.yaml")], ids=str
)
def test_a_file_matches_the_schema_of_github(schema: str, file: Path) -> None:
    command = [str(tool("check-jsonschema")), "--builtin-schema", f"vendor.{schema}", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@needs("zizmor")
def test_zizmor_finds_no_vulnerability() -> None:
    command = [str(tool("zizmor")), "--offline", "--no-progress", "--quiet", "--strict-collection", str(GITHUB)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@needs("shellcheck")
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_shellcheck_accepts_the_script_of_a_step(script: str) -> None:
    command = [str(tool("shellcheck")), "--shell", "bash", "-"]
    checked = subprocess.run(command, input=script, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_actions_are_pinned_and_jobs_have_a_timeout() -> None:
    used = [step["uses"] for step in STEPS.values() if "uses" in step]

    assert [action for action in used if not re.fullmatch(r"(actions|sigstore)/[\w-]+@[0-9a-f]{40}", action)] == []
    assert all(job["timeout-minutes"] for job in WORKFLOW["jobs"].values())


def test_only_the_publish_job_may_write_and_it_needs_the_others() -> None:
    publish = WORKFLOW["jobs"]["publish"]

    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in WORKFLOW["jobs"].items() if "permissions" in job} == {
        "publish": {"packages": "write", "id-token": "write", "attestations": "write"}
    }
    assert publish["needs"] == ["test", "image"]
    assert publish["if"] == "github.ref_type == 'tag'"


def test_both_architectures_are_built_and_published() -> None:
    built = [each["processor"] for each in WORKFLOW["jobs"]["image"]["strategy"]["matrix"]["include"]]

    assert built == ["amd64", "arm64"]
    assert f"for processor in {' '.join(built)}; do" in ALL_SCRIPTS


def test_the_published_image_is_signed_by_digest_with_its_contents_and_its_provenance() -> None:
    publish = [step.get("name", step.get("uses", "")) for step in WORKFLOW["jobs"]["publish"]["steps"]]
    signs = SCRIPTS["publish Sign the image, and what it contains"]
    verifies = SCRIPTS["publish Verify the signatures as a user would"]
    provenance = STEPS["publish Attach the provenance"]["with"]

    assert publish.index("Publish both architectures under one tag") < publish.index(
        "Sign the image, and what it contains"
    )
    assert 'cosign sign --yes --recursive "$IMAGE@$BOTH"' in signs
    for processor in ("amd64", "arm64"):
        assert f'--predicate image-{processor}/sbom.spdx.json "$IMAGE@${processor.upper()}"' in signs
    assert provenance["push-to-registry"] is True
    assert provenance["subject-digest"] == "${{ steps.published.outputs.both }}"
    assert '"--certificate-identity=$GITHUB_SERVER_URL/$GITHUB_WORKFLOW_REF"' in verifies


def test_files_and_make_targets_of_the_steps_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    named = re.findall(r"\bmake ([\w-]+)", ALL_SCRIPTS)
    files = re.findall(r"(?:docker|docs)/[\w.-]+\.?[\w-]*", ALL_SCRIPTS)
    assert set(named) <= set(targets)
    assert {"docker/image.sh", "docker/smoke.sh", "docs/astronaut.jpg"} == set(files)
    assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("target", ["test", "test-deploy", "test-wheel", "test-clients"])
def test_the_repository_is_tested_before_anything_is_published(target: str) -> None:
    assert f"make {target}" in [step.get("run") for step in WORKFLOW["jobs"]["test"]["steps"]]


def test_the_workflow_checks_size_user_and_shutdown_of_the_image() -> None:
    assert 'test "$size" -le 110000000' in ALL_SCRIPTS
    assert f'test "$(docker exec visage id -u)" = {USER}' in ALL_SCRIPTS
    (seconds,) = re.findall(r"docker stop --time (\d+)", ALL_SCRIPTS)
    assert int(seconds) > GRACEFUL_SECONDS
    assert "--read-only --cap-drop ALL" in ALL_SCRIPTS


def smoke_test(url: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "docker" / "smoke.sh"), url, str(ASTRONAUT)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the command curl")
def test_the_smoke_test_passes_on_a_real_service(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        checked = smoke_test(service.url)

    assert (checked.returncode, checked.stdout) == (0, "The service works.\n"), checked.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs the command curl")
def test_the_smoke_test_fails_when_the_face_is_not_found(service: Service) -> None:
    checked = smoke_test(service.url)

    assert checked.returncode == 1
    assert checked.stderr.startswith("POST /predict did not find a woman's face: {")
