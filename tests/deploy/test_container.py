"""The image without an engine: what its Dockerfile copies is all that it needs, and serves as in a container."""

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

from benchmarks.dockerfile import Instruction, checkout, context, copied, stages, values
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
def test_the_dockerfile_is_as_its_linter_wants_it() -> None:
    checked = subprocess.run([str(tool("hadolint")), ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@needs("shellcheck")
@pytest.mark.parametrize(
    "script", ["docker/build-numpy.sh", "docker/build-opencv.sh", "docker/musl.sh", "docker/smoke.sh", ".ci/run"]
)
def test_a_script_is_as_its_linter_wants_it(script: str) -> None:
    checked = subprocess.run([str(tool("shellcheck")), ROOT / script], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(("stage", "copy"), COPIES, ids=lambda each: getattr(each, "rest", each))
def test_what_is_copied_is_there_and_not_ignored(stage: str, copy: Instruction) -> None:
    files = context(ROOT, checkout(ROOT))

    for source in copy.sources:
        assert copied(source, files), source


def test_nothing_is_sent_to_the_engine_that_no_stage_copies() -> None:
    files = context(ROOT, checkout(ROOT))
    wanted = {file for _, copy in COPIES for source in copy.sources for file in copied(source, files)}

    assert files - wanted == set()
    assert not [file for file in files if file.startswith(("tests/", "training/", "benchmarks/", ".git", "docs/"))]


@pytest.mark.parametrize(
    ("file", "passes"),
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
def test_what_lies_about_in_a_checkout_does_not_get_into_the_image(file: str, passes: bool) -> None:
    assert context(ROOT, [file]) == ({file} if passes else set())


def test_each_stage_begins_with_one_that_there_is_or_with_a_digest() -> None:
    known: list[str] = []
    for name, stage in STAGES.items():
        image = stage[0].rest.partition(" AS ")[0]
        assert image in known or re.fullmatch(r"python:3\.\d+-alpine@sha256:[0-9a-f]{64}", image)
        known.append(name)
    for stage in STAGES.values():
        assert {each.stage for each in stage if each.word == "COPY"} - {None} <= set(known)


def test_the_last_stage_compiles_nothing_and_fetches_an_allocator_alone() -> None:
    ran = [each.rest for each in FINAL if each.word == "RUN"]

    assert [command for command in ran if "apk" in command] == ["apk add --no-cache jemalloc"]
    assert not re.findall(r"\b(pip|gcc|cmake|curl|wget)\b", " ".join(ran))
    assert [each.stage for each in FINAL if each.stage] == ["packages"]


def test_the_settings_of_the_image_are_those_that_there_are() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    own = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LD_PRELOAD", "MALLOC_CONF"}

    assert set(ENVIRONMENT) - own <= {row.name for row in rows()}
    assert settings.workers == 2
    assert one("EXPOSE").rest == str(settings.port)
    assert one("VOLUME").rest == str(settings.state_dir)


def test_the_user_is_nobody_and_the_same_everywhere() -> None:
    manifests = [*yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "visage.yaml").read_text())]
    pod = manifests[0]["spec"]["template"]["spec"]

    assert one("USER").rest == f"{USER}:{USER}"
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (USER, USER)
    assert {volume["mountPath"] for volume in pod["containers"][0]["volumeMounts"]} == {one("VOLUME").rest, "/tmp"}


def test_the_image_is_stopped_as_gunicorn_wants_it_and_looked_after() -> None:
    assert one("CMD").listed == ["gunicorn", "app:app"]
    assert one("STOPSIGNAL").rest == "SIGTERM"
    assert "/readyz" in one("HEALTHCHECK").listed[-1]


def test_the_image_says_what_it_is() -> None:
    labels = values(FINAL, "LABEL")

    assert {f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses")} <= set(labels)
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


# What an engine would run, on this machine.


@pytest.fixture
def assembled(tmp_path: Path) -> Path:
    """The app's directory in the image: what the last stage copies there, and nothing else."""
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
def container(assembled: Path) -> Iterator[Service]:
    """The image's command with its environment, where it may write to its state alone if this can be had."""
    state, log, port = assembled.parent / "state", assembled.parent / "log", free_port()
    state.mkdir()
    own = {"PORT": str(port), "VISAGE_STATE_DIR": str(state), "VISAGE_HOST": "127.0.0.1"}
    foreign = ("VISAGE_", "WEB_", "COVERAGE")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        **{name: value for name, value in ENVIRONMENT.items() if name not in {"PATH", "LD_PRELOAD"}},
        **own,
    }
    # The gunicorn of this environment stands for that of the image.
    command = [*(confined(state) if can_unshare() else []), sys.executable, "-m", *one("CMD").listed]
    with log.open("w") as log_file:
        process = subprocess.Popen(
            command, cwd=assembled, env=environment, stdout=log_file, stderr=subprocess.STDOUT, text=True
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        assert wait_for(lambda: ready(service), 60), log.read_text()
        yield service
    finally:
        process.terminate()
        process.wait(60)


def can_unshare() -> bool:
    """Whether this process may make a file system of its own, which root usually may."""
    tried = (
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    return os.getuid() == 0 and tried is not None and tried.returncode == 0


def confined(state: Path) -> list[str]:
    """What comes before a command so that it can write to `state` and /dev/shm alone, and is root in name only."""
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


def test_what_is_copied_serves_photos_and_batches(container: Service, assembled: Path, astronaut_png: bytes) -> None:
    faces = container.post(astronaut_png).json()["faces"]
    batch = requests.post(container.url + "/batches", files={"files": astronaut_png}, timeout=60)
    url = f"{container.url}/batches/{batch.json()['id']}"

    assert len(faces) == 1
    assert faces[0]["gender"] == "Female"
    assert requests.get(container.url + "/docs", timeout=60).ok
    assert requests.get(container.url + "/static/page.js", timeout=60).ok
    assert wait_for(lambda: requests.get(url, timeout=60).json()["state"] == "done", 60)
    assert not [file for file in assembled.rglob("*") if file.suffix == ".pyc"]


def test_stopping_ends_it_in_order(container: Service, astronaut_png: bytes) -> None:
    assert container.post(astronaut_png).ok

    container.process.terminate()

    assert container.process.wait(60) == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the rights to make a file system of its own")
def test_it_can_write_to_its_state_alone(assembled: Path) -> None:
    state = assembled.parent / "state"
    state.mkdir()
    for place, written in ((state, True), (assembled, False), (Path("/tmp"), False), (Path("/root"), False)):
        tried = subprocess.run([*confined(state), "touch", place / "visage-was-here"], capture_output=True, check=False)

        assert (tried.returncode == 0) == written, place


# The wheels of OpenCV and numpy.


def test_the_sources_are_those_of_the_versions_that_are_required() -> None:
    python = re.findall(r"python:(3\.\d+)-alpine", STAGES["python"][0].rest)[0]
    (numpy,) = re.findall(r"^numpy==[0-9.]+", (DOCKER / "numpy.txt").read_text(), re.MULTILINE)

    required = (ROOT / "requirements.txt").read_text().splitlines()
    assert f'{REQUIREMENT} ; python_version >= "{python}"' in required
    assert f'{numpy} ; python_version >= "{python}"' in required


def test_a_script_that_cannot_compile_says_what_it_wants(tmp_path: Path) -> None:
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
    licence.write_text("Do as you like.")
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
    """Have pip install it, which compares each file with the wheel's record."""
    options = ("--quiet", "--no-deps", "--no-index", "--find-links", wheel.parent, "--target", folder)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, REQUIREMENT], check=True)
    return folder


def test_a_wheel_is_what_pip_takes_for_the_one_that_is_required(wheel: Path, tmp_path: Path) -> None:
    installed = install(wheel, tmp_path / "installed")

    assert (installed / "cv2.abi3.so").read_bytes() == b"a module"
    (facts,) = importlib.metadata.distributions(path=[str(installed)])
    assert facts.version == REQUIREMENT.partition("==")[2] + "+visage"
    assert facts.metadata["Name"] == "opencv-python-headless"
    assert [str(file) for file in facts.files or () if file.name == "LICENSE.txt"]


def test_a_wheel_has_the_types_of_its_module_for_type_checkers(tmp_path: Path) -> None:
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


def test_a_wheel_is_not_made_when_its_types_are_missing(tmp_path: Path) -> None:
    (tmp_path / "stubs").mkdir()

    with pytest.raises(subprocess.CalledProcessError) as failed:
        make_wheel(tmp_path, stubs=tmp_path / "stubs")
    assert failed.value.stderr.startswith("There are no types in")


def test_a_wheel_is_the_same_bytes_each_time(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    assert make_wheel(other).read_bytes() == wheel.read_bytes()


# What the processors of one kind and the other say of themselves, in Linux's words.
AVX512 = "flags\t\t: fpu avx2 fma f16c avx512f avx512dq avx512cd avx512bw avx512vl\n"
AVX2 = "flags\t\t: fpu avx2 fma f16c\n"


@pytest.mark.parametrize(
    ("told", "chosen"),
    [(AVX512, "avx512"), (AVX2, "any"), (AVX512.replace(" avx512vl", ""), "any"), ("", "any"), (None, "any")],
    ids=["AVX-512", "AVX2", "a part of AVX-512", "nothing", "no Linux"],
)
def test_of_two_modules_in_a_wheel_the_one_is_loaded_that_the_processor_can_run(
    tmp_path: Path, told: str | None, chosen: str
) -> None:
    package = install(make_wheel(tmp_path, avx512=b"another"), tmp_path / "installed") / "cv2"
    assert [(package / name / "cv2.abi3.so").read_bytes() for name in ("any", "avx512")] == [b"a module", b"another"]
    # The module of this environment stands for both.
    for name in ("any", "avx512"):
        (package / name / "cv2.abi3.so").unlink()
        (package / name / "cv2.abi3.so").symlink_to(Path(cv2.__file__).with_name("cv2.abi3.so"))
    processor = tmp_path / "cpuinfo"
    if told is not None:
        processor.write_text(f"processor\t: 0\n{told}\nprocessor\t: 1\n")
    chooser = package / "__init__.py"
    chooser.write_text(chooser.read_text().replace('"/proc/cpuinfo"', repr(str(processor))))

    used = "import cv2, sys; print(cv2.__file__, cv2.dnn.blobFromImage is not None, sys.modules['cv2'] is cv2)"
    libraries = Path(cv2.__file__).parent.parent / "opencv_python_headless.libs"
    printed = subprocess.run(
        [sys.executable, "-c", used],
        env={**os.environ, "PYTHONPATH": str(package.parent), "LD_LIBRARY_PATH": str(libraries)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.split() == [str(package / chosen / "cv2.abi3.so"), "True", "True"]
