"""The Dockerfile, tested without a container engine: its stages, settings and the files that it copies."""

import re
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pytest
import yaml

from benchmarks.support.dockerfile import Instruction, checkout, context, copied, values
from tests.deploy.support import ENVIRONMENT, FILES, FINAL, STAGES, one
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
        "docker/standin/alpine.sh",
        "docker/standin/build.sh",
        "docker/standin/fetch.sh",
        "docker/standin/make.sh",
        "docker/standin/zig.sh",
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


def test_each_stage_starts_from_an_earlier_stage_a_pinned_digest_or_nothing() -> None:
    known = ["scratch"]
    for name, stage in STAGES.items():
        image = stage[0].rest.partition(" AS ")[0]
        assert image in known or re.fullmatch(r"python:3\.\d+-alpine@sha256:[0-9a-f]{64}", image)
        known.append(name)
    for stage in STAGES.values():
        assert {each.stage for each in stage if each.word == "COPY"} - {None} <= set(known)


def test_the_image_compiles_nothing_and_installs_only_the_allocator_and_libraries_of_pillow() -> None:
    commands = [each.rest for each in FILES if each.word == "RUN"]

    assert [command for command in commands if "apk" in command] == ["apk add --no-cache jemalloc lcms2 libjpeg-turbo"]
    assert not re.findall(r"\b(pip|gcc|cmake|curl|wget) ", " ".join(commands))
    assert [each.stage for each in FILES if each.stage] == ["packages"]


def test_the_image_has_one_layer() -> None:
    assert [each.rest for each in FINAL if each.word in {"ADD", "COPY", "RUN"}] == ["--from=files / /"]


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
    packages = [line.partition("/site-packages/")[2] for line in printed.splitlines() if "/site-packages/" in line]
    library = sysconfig.get_path("stdlib")
    modules = [str(Path(line).relative_to(library)) for line in printed.splitlines() if line.startswith(library)]

    assert "numpy/__init__.py" in packages
    assert "json/__init__.py" in modules
    assert [path for path in packages if is_deleted(path, "packages")] == []
    assert [path for path in modules if is_deleted(path, "files")] == []


@pytest.mark.parametrize(
    ("path", "deleted"),
    [
        ("numpy/_core/tests/test_multiarray.py", True),
        ("numpy/_core/multiarray.pyi", True),
        ("numpy/_core/lib/libnpymath.a", True),
        ("numpy/_core/include/numpy/ndarraytypes.h", True),
        ("numpy/_core/multiarray.py", False),
        ("numpy/fft/_pocketfft_umath.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/_core/_simd.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/_core/_umath_tests.cpython-314-x86_64-linux-musl.so", True),
        ("numpy/linalg/_linalg.py", False),
        ("numpy/typing/__init__.py", False),
        ("another/random/__init__.py", False),
    ],
)
def test_the_image_deletes_what_it_does_not_use_of_packages(path: str, deleted: bool) -> None:
    assert is_deleted(path, "packages") == deleted


@pytest.mark.parametrize(
    ("path", "deleted"),
    [
        ("ensurepip/__init__.py", True),
        ("idlelib/idle.py", True),
        ("site-packages/pip/__init__.py", True),
        ("config-3.14-x86_64-linux-musl/Makefile", True),
        ("configparser.py", False),
        ("json/__init__.py", False),
    ],
)
def test_the_image_deletes_what_it_does_not_use_of_the_standard_library(path: str, deleted: bool) -> None:
    assert is_deleted(path, "files") == deleted


def is_deleted(path: str, stage: str) -> bool:
    """Whether a `find` of a stage deletes this file, a path in site-packages or in the standard library."""
    *above, name = PurePosixPath(path).parts
    commands = " ".join(each.rest for each in STAGES[stage] if each.word == "RUN")
    for root, kind, names in re.findall(r"find (/\S+)(?: -type ([df]))? (.*?)(?=&&|$)", commands):
        package = root.partition("site-packages/")[2]
        patterns = re.findall(r"-name '?([^'\s]+)", names)
        parts = [name] if kind == "f" else above if kind == "d" else [*above, name]
        if path.startswith(package) and any(fnmatch(part, pattern) for part in parts for pattern in patterns):
            return True
    return False


def test_the_environment_of_the_image_has_only_known_settings() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    own = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LD_PRELOAD", "MALLOC_CONF"}

    assert set(ENVIRONMENT) - own <= {row.name for row in rows()}
    assert settings.workers == 2
    assert settings.host == "0.0.0.0"
    assert one("EXPOSE").rest == str(settings.port)
    assert one("VOLUME").rest == str(settings.state_dir)


def test_the_defaults_that_the_image_changes_are_in_the_table_of_settings() -> None:
    changed = {row.name: row.default for row in rows() if ENVIRONMENT.get(row.name, row.default) != row.default}

    assert {"VISAGE_HOST", "VISAGE_STATE_DIR", "WEB_CONCURRENCY"} <= set(changed)
    for name, default in changed.items():
        assert f"in the container {ENVIRONMENT[name]})" in default or default.endswith("/state in the container"), name


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
