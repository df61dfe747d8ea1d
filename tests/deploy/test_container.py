"""The Dockerfile, tested without a container engine: its stages, settings and the files that it copies."""

import re
import subprocess
import sys

import pytest
import yaml

from benchmarks.image import is_deleted
from benchmarks.support.dockerfile import Instruction, checkout, context, copied, values
from tests.deploy.support import ENVIRONMENT, FINAL, STAGES, one
from tests.support.deployment import USER, needs, tool
from tests.support.paths import ROOT
from visage.settings import Settings, rows

COPIES = [(name, each) for name, stage in STAGES.items() for each in stage if each.word == "COPY" and not each.stage]


@needs("hadolint")
def test_hadolint_accepts_the_dockerfile() -> None:
    checked = subprocess.run([str(tool("hadolint")), ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@needs("shellcheck")
@pytest.mark.parametrize(
    "script",
    [
        "docker/build-numpy.sh",
        "docker/build-opencv.sh",
        "docker/build-pillow.sh",
        "docker/image.sh",
        "docker/musl.sh",
        "docker/smoke.sh",
        ".ci/run",
    ],
)
def test_shellcheck_accepts_a_script(script: str) -> None:
    checked = subprocess.run([str(tool("shellcheck")), ROOT / script], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("stage", "copy"), COPIES, ids=lambda each: getattr(each, "rest", each))
def test_copied_files_exist_and_are_not_ignored(stage: str, copy: Instruction) -> None:
    files = context(ROOT, checkout(ROOT))

    for source in copy.sources:
        assert copied(source, files), source


def test_the_build_context_has_only_copied_files() -> None:
    files = context(ROOT, checkout(ROOT))
    wanted = {file for _, copy in COPIES for source in copy.sources for file in copied(source, files)}

    assert files - wanted == set()
    assert not [file for file in files if file.startswith(("tests/", "training/", "benchmarks/", ".git", "docs/"))]


@pytest.mark.parametrize(
    ("file", "included"),
    [
        ("visage/web/static/page.js", True),
        ("visage/__pycache__/engine.cpython-314.pyc", False),
        ("visage/web/__pycache__/x.pyc", False),
        ("models/compact/face.caffemodel", True),
        ("models/classic/age_net.caffemodel", False),
        ("state/batches/photo.jpg", False),
        (".env", False),
        (".git/config", False),
        (".venv/bin/python", False),
        ("Dockerfile", False),
    ],
)
def test_the_build_context_excludes_other_files_of_a_checkout(file: str, included: bool) -> None:
    assert context(ROOT, [file]) == ({file} if included else set())


def test_each_stage_starts_from_an_earlier_stage_or_a_pinned_digest() -> None:
    known: list[str] = []
    for name, stage in STAGES.items():
        image = stage[0].rest.partition(" AS ")[0]
        assert image in known or re.fullmatch(r"python:3\.\d+-alpine@sha256:[0-9a-f]{64}", image)
        known.append(name)
    for stage in STAGES.values():
        assert {each.stage for each in stage if each.word == "COPY"} - {None} <= set(known)


def test_the_last_stage_compiles_nothing_and_installs_only_the_allocator_and_libraries_of_pillow() -> None:
    commands = [each.rest for each in FINAL if each.word == "RUN"]

    assert [command for command in commands if "apk" in command] == ["apk add --no-cache jemalloc lcms2 libjpeg-turbo"]
    assert not re.findall(r"\b(pip|gcc|cmake|curl|wget)\b", " ".join(commands))
    assert [each.stage for each in FINAL if each.stage] == ["packages"]


def test_the_service_imports_nothing_that_the_image_deletes() -> None:
    lines = [
        "import sys, gunicorn.app.wsgiapp, visage.batches, visage.server.service_worker, visage.web",
        "client = visage.web.create_app().test_client()",
        "photo = open('docs/astronaut.jpg', 'rb').read()",
        "routes = '/predict', '/analyze', '/anonymize', '/enhance?scale=2'",
        "assert all(client.post(each, data=photo, content_type='image/jpeg').status_code == 200 for each in routes)",
        "print(*(getattr(each, '__file__', None) or '' for each in sys.modules.values()), sep='\\n')",
    ]
    script = "\n".join(lines)
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [line.partition("/site-packages/")[2] for line in printed.splitlines() if "/site-packages/" in line]

    assert "numpy/__init__.py" in paths
    assert [path for path in paths if is_deleted(path)] == []


def test_the_environment_of_the_image_has_only_known_settings() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    own = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LD_PRELOAD", "MALLOC_CONF"}

    assert set(ENVIRONMENT) - own <= {row.name for row in rows()}
    assert settings.workers == 2
    assert settings.host == "0.0.0.0"
    assert one("EXPOSE").rest == str(settings.port)
    assert one("VOLUME").rest == str(settings.state_dir)


def test_the_user_is_the_same_in_the_image_and_in_kubernetes() -> None:
    manifests = [*yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "visage.yaml").read_text())]
    pod = manifests[0]["spec"]["template"]["spec"]

    assert one("USER").rest == f"{USER}:{USER}"
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (USER, USER)
    assert {volume["mountPath"] for volume in pod["containers"][0]["volumeMounts"]} == {one("VOLUME").rest, "/tmp"}


def test_the_image_starts_gunicorn_stops_it_by_sigterm_and_checks_its_health() -> None:
    assert one("CMD").listed == ["python", "app.py"]
    assert one("STOPSIGNAL").rest == "SIGTERM"
    assert "/readyz" in one("HEALTHCHECK").listed[-1]


def test_the_health_check_has_only_options_that_every_engine_knows() -> None:
    options = re.findall(r"--([\w-]+)=", one("HEALTHCHECK").rest)

    # buildah 1.28 and podman 4.3, those of Debian 12, stop at others.
    assert set(options) <= {"interval", "timeout", "start-period", "retries"}


def test_the_image_has_a_title_a_description_and_a_licence() -> None:
    labels = values(FINAL, "LABEL")

    assert {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses")} <= set(labels)
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
