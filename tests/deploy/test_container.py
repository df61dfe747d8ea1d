"""The image, tested without a container engine: the Dockerfile, its files run as in a container, and the wheels."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import requests
import yaml

from benchmarks.support.dockerfile import Instruction, checkout, context, copied, stages, values
from tests.support.deployment import USER, needs, tool
from tests.support.paths import ROOT
from tests.support.service import Service, free_port
from tests.support.waiting import wait_for
from visage.settings import Settings, rows

DOCKER = ROOT / "docker"
STAGES = stages(ROOT / "Dockerfile")
FINAL = STAGES[""]
ENVIRONMENT = values(FINAL, "ENV")
COPIES = [(name, each) for name, stage in STAGES.items() for each in stage if each.word == "COPY" and not each.stage]


REQUIREMENT = re.findall(r"^opencv-python-headless==[0-9.]+", (DOCKER / "opencv.txt").read_text(), re.MULTILINE)[0]


def one(word: str) -> Instruction:
    (found,) = [each for each in FINAL if each.word == word]
    return found


@needs("hadolint")
def test_hadolint_accepts_the_dockerfile() -> None:
    checked = subprocess.run([str(tool("hadolint")), ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@needs("shellcheck")
@pytest.mark.parametrize(
    "script", ["docker/build-numpy.sh", "docker/build-opencv.sh", "docker/musl.sh", "docker/smoke.sh", ".ci/run"]
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


def test_the_last_stage_compiles_nothing_and_installs_only_the_allocator() -> None:
    commands = [each.rest for each in FINAL if each.word == "RUN"]

    assert [command for command in commands if "apk" in command] == ["apk add --no-cache jemalloc"]
    assert not re.findall(r"\b(pip|gcc|cmake|curl|wget)\b", " ".join(commands))
    assert [each.stage for each in FINAL if each.stage] == ["packages"]


def test_the_environment_of_the_image_has_only_known_settings() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    own = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LD_PRELOAD", "MALLOC_CONF"}

    assert set(ENVIRONMENT) - own <= {row.name for row in rows()}
    assert settings.workers == 2
    assert one("EXPOSE").rest == str(settings.port)
    assert one("VOLUME").rest == str(settings.state_dir)


def test_the_user_is_the_same_in_the_image_and_in_kubernetes() -> None:
    manifests = [*yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "visage.yaml").read_text())]
    pod = manifests[0]["spec"]["template"]["spec"]

    assert one("USER").rest == f"{USER}:{USER}"
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (USER, USER)
    assert {volume["mountPath"] for volume in pod["containers"][0]["volumeMounts"]} == {one("VOLUME").rest, "/tmp"}


def test_the_image_starts_gunicorn_stops_it_by_sigterm_and_checks_its_health() -> None:
    assert one("CMD").listed == ["gunicorn", "app:app"]
    assert one("STOPSIGNAL").rest == "SIGTERM"
    assert "/readyz" in one("HEALTHCHECK").listed[-1]


def test_the_image_has_a_title_a_description_and_a_licence() -> None:
    labels = values(FINAL, "LABEL")

    assert {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses")} <= set(labels)
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


# The image's files and command, run on this machine.


@pytest.fixture
def app_directory(tmp_path: Path) -> Path:
    """The image's app directory: only the files that the last stage copies there."""
    files = context(ROOT, checkout(ROOT))
    for copy in [each for each in FINAL if each.word == "COPY" and not each.stage]:
        for source in copy.sources:
            for file in copied(source, files):
                into_folder = copy.target.endswith("/")
                target = tmp_path / "app" / (file if into_folder else copy.target + file.removeprefix(source))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, target)
    return tmp_path / "app"


@pytest.fixture
def container(app_directory: Path) -> Iterator[Service]:
    """The image's command with its environment. As root on Linux it can write only to its state directory."""
    state, log, port = app_directory.parent / "state", app_directory.parent / "log", free_port()
    state.mkdir()
    own = {"PORT": str(port), "VISAGE_STATE_DIR": str(state), "VISAGE_HOST": "127.0.0.1"}
    ignored = ("VISAGE_", "WEB_", "COVERAGE")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ignored)},
        **{name: value for name, value in ENVIRONMENT.items() if name not in {"PATH", "LD_PRELOAD"}},
        **own,
    }
    # The gunicorn of this environment replaces the image's.
    command = [*(confined(state) if can_unshare() else []), sys.executable, "-m", *one("CMD").listed]
    with log.open("w") as log_file:
        process = subprocess.Popen(
            command, cwd=app_directory, env=environment, stdout=log_file, stderr=subprocess.STDOUT, text=True
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        assert wait_for(lambda: ready(service), 60), log.read_text()
        yield service
    finally:
        process.terminate()
        process.wait(60)


def can_unshare() -> bool:
    """Whether this process may create a mount namespace, which usually needs root."""
    tried = (
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    return os.getuid() == 0 and tried is not None and tried.returncode == 0


def confined(state: Path) -> list[str]:
    """A command prefix that makes everything but `state` and /dev read-only and drops all capabilities."""
    script = f"""
        mount --make-rprivate / && mount --bind {state} {state}
        for place in $(cut -d' ' -f2 /proc/self/mounts); do
          case $place in {state}|/dev|/dev/*|/proc|/proc/*|/sys|/sys/*) ;; *) mount -o remount,bind,ro "$place" ;; esac
        done
        exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
    """
    return ["unshare", "--mount", "sh", "-ec", script, "sh"]


def ready(service: Service) -> bool:
    try:
        return requests.get(service.url + "/readyz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def test_the_copied_files_serve_photos_and_batches(
    container: Service, app_directory: Path, astronaut_png: bytes
) -> None:
    faces = container.post(astronaut_png).json()["faces"]
    batch = requests.post(container.url + "/batches", files={"files": astronaut_png}, timeout=60)
    url = f"{container.url}/batches/{batch.json()['id']}"

    assert len(faces) == 1
    assert faces[0]["gender"] == "Female"
    assert requests.get(container.url + "/docs", timeout=60).ok
    assert requests.get(container.url + "/static/page.js", timeout=60).ok
    assert wait_for(lambda: requests.get(url, timeout=60).json()["state"] == "done", 60)
    assert not [file for file in app_directory.rglob("*") if file.suffix == ".pyc"]


def test_sigterm_ends_the_service_with_status_0(container: Service, astronaut_png: bytes) -> None:
    assert container.post(astronaut_png).ok

    container.process.terminate()

    assert container.process.wait(60) == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to create a mount namespace")
def test_only_the_state_directory_is_writable(app_directory: Path) -> None:
    state = app_directory.parent / "state"
    state.mkdir()
    for place, writable in ((state, True), (app_directory, False), (Path("/tmp"), False), (Path("/root"), False)):
        touched = subprocess.run([*confined(state), "touch", place / "visage-test"], capture_output=True, check=False)

        assert (touched.returncode == 0) == writable, place


# The wheels of OpenCV and numpy.


def test_the_compiled_sources_have_the_required_versions() -> None:
    python = re.findall(r"python:(3\.\d+)-alpine", STAGES["python"][0].rest)[0]
    (numpy,) = re.findall(r"^numpy==[0-9.]+", (DOCKER / "numpy.txt").read_text(), re.MULTILINE)

    required = (ROOT / "requirements.txt").read_text().splitlines()
    assert f'{REQUIREMENT} ; python_version >= "{python}"' in required
    assert f'{numpy} ; python_version >= "{python}"' in required


def test_the_opencv_script_lists_missing_tools(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "uname", "nproc", "mkdir"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))

    tried = subprocess.run(
        [DOCKER / "build-opencv.sh", tmp_path / "wheels"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert tried.returncode == 1
    assert tried.stderr.startswith("not installed: c++ cmake make python3")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path)


def make_wheel(folder: Path, *, avx512: bytes | None = None, stubs: Path | None = None) -> Path:
    module, licence, second = folder / "cv2.abi3.so", folder / "LICENSE.txt", folder / "avx512" / "cv2.abi3.so"
    module.write_bytes(b"a module")
    licence.write_text("A licence.")
    command: list[str | Path] = [sys.executable, DOCKER / "wheel.py", module, folder, licence]
    command += ["--requirement", DOCKER / "opencv.txt"]
    if avx512 is not None:
        second.parent.mkdir()
        second.write_bytes(avx512)
        command += ["--avx512", second]
    if stubs is not None:
        command += ["--stubs", stubs]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel with pip, which verifies each file against the wheel's RECORD."""
    options = ("--quiet", "--no-deps", "--no-index", "--find-links", wheel.parent, "--target", folder)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, REQUIREMENT], check=True)
    return folder


def test_the_wheel_satisfies_the_requirement_for_opencv(wheel: Path, tmp_path: Path) -> None:
    installed = install(wheel, tmp_path / "installed")

    assert (installed / "cv2.abi3.so").read_bytes() == b"a module"
    (distribution,) = importlib.metadata.distributions(path=[str(installed)])
    assert distribution.version == REQUIREMENT.partition("==")[2] + "+visage"
    assert distribution.metadata["Name"] == "opencv-python-headless"
    assert [str(file) for file in distribution.files or () if file.name == "LICENSE.txt"]


def test_the_wheel_contains_the_type_stubs(tmp_path: Path) -> None:
    stubs = tmp_path / "stubs"
    (stubs / "typing").mkdir(parents=True)
    (stubs / "py.typed").touch()
    (stubs / "__init__.pyi").write_text("from cv2.typing import Size\nsize: Size\n")
    (stubs / "typing" / "__init__.py").write_text("Size = int\n")
    installed = install(make_wheel(tmp_path, stubs=stubs), tmp_path / "installed")

    assert sorted(str(file.relative_to(installed)) for file in installed.rglob("*.pyi")) == [
        "cv2-stubs/__init__.pyi",
        "cv2-stubs/typing/__init__.pyi",
    ]
    assert (installed / "cv2-stubs" / "typing" / "__init__.pyi").read_text() == "Size = int\n"


def test_the_wheel_is_not_built_without_the_named_type_stubs(tmp_path: Path) -> None:
    (tmp_path / "stubs").mkdir()

    with pytest.raises(subprocess.CalledProcessError) as failed:
        make_wheel(tmp_path, stubs=tmp_path / "stubs")
    assert failed.value.stderr.startswith("There are no type stubs in")


def test_the_wheel_is_reproducible(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    assert make_wheel(other).read_bytes() == wheel.read_bytes()


# Lines of /proc/cpuinfo for both kinds of processors.
AVX512 = "flags\t\t: fpu avx2 fma f16c avx512f avx512dq avx512cd avx512bw avx512vl\n"
AVX2 = "flags\t\t: fpu avx2 fma f16c\n"


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [(AVX512, "avx512"), (AVX2, "any"), (AVX512.replace(" avx512vl", ""), "any"), ("", "any"), (None, "any")],
    ids=["AVX-512", "AVX2", "part of AVX-512", "no flags", "not Linux"],
)
def test_the_wheel_loads_the_build_that_the_processor_can_run(tmp_path: Path, flags: str | None, chosen: str) -> None:
    package = install(make_wheel(tmp_path, avx512=b"another"), tmp_path / "installed") / "cv2"
    assert [(package / name / "cv2.abi3.so").read_bytes() for name in ("any", "avx512")] == [b"a module", b"another"]
    # This environment's cv2 replaces both fake modules.
    for name in ("any", "avx512"):
        (package / name / "cv2.abi3.so").unlink()
        (package / name / "cv2.abi3.so").symlink_to(Path(cv2.__file__).with_name("cv2.abi3.so"))
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\n{flags}\nprocessor\t: 1\n")
    chooser = package / "__init__.py"
    chooser.write_text(chooser.read_text().replace('"/proc/cpuinfo"', repr(str(cpuinfo))))

    script = "import cv2, sys; print(cv2.__file__, cv2.dnn.blobFromImage is not None, sys.modules['cv2'] is cv2)"
    libraries = Path(cv2.__file__).parent.parent / "opencv_python_headless.libs"
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(package.parent), "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.split() == [str(package / chosen / "cv2.abi3.so"), "True", "True"]
