"""An engine checks its nets before the service starts, loads only what it needs, and releases memory when idle."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from visage.errors import PackError
from visage.packs.pack import read_pack
from visage.runtime.engine import Engine
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


def test_an_engine_warms_up_with_the_smallest_pixel_limit(tiny_pack: Path) -> None:
    Engine(Settings(pack=str(tiny_pack), max_image_pixels=1)).warm_up()


def test_an_engine_is_ready_after_its_warm_up(tiny_pack: Path) -> None:
    engine = Engine(Settings(pack=str(tiny_pack)))
    assert not engine.ready

    engine.warm_up()

    assert engine.ready


def test_an_engine_is_not_ready_after_its_check(tiny_pack: Path) -> None:
    engine = Engine(Settings(pack=str(tiny_pack)))

    engine.check()

    assert not engine.ready


@pytest.mark.parametrize("run", [Engine.check, Engine.warm_up], ids=["check", "warm_up"])
@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('labels = ["Male", "Female"]', 'labels = ["Male"]', "gives 2 values a face, but its manifest names 1 label"),
        ("input = [16, 16]", "input = [8, 8]", "do not fit their manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_its_nets_is_found_before_the_service_starts(
    tiny_pack: Path, tmp_path: Path, run: Callable[[Engine], None], right: str, wrong: str, message: str
) -> None:
    for file in tiny_pack.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = (tmp_path / "pack.toml").read_text().replace(right, wrong)
    (tmp_path / "pack.toml").write_text(manifest)

    with pytest.raises(PackError, match=message):
        run(Engine(Settings(pack=str(tmp_path))))


def test_the_engine_imports_no_flask() -> None:
    unwanted = {"flask", "requests", "click", "gunicorn"}
    code = f"import sys, visage.runtime.engine; print(sorted({unwanted} & set(sys.modules)))"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


def test_anonymizing_loads_no_classifiers(engine: Engine, tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(tiny_pack, pack)
    described = read_pack(pack)
    for spec in (described.gender, described.age):
        spec.weights.path.write_bytes(b"altered")
    settings = Settings(pack=str(pack))

    anonymized = Engine(settings, eager=False).anonymize(tiny_png)

    assert anonymized.picture == engine.anonymize(tiny_png).picture
    with pytest.raises(PackError, match="gender"):
        Engine(settings)


def test_only_nets_with_layers_in_python_leak_memory(engine: Engine, reference_pack: Path) -> None:
    assert not engine.leaks_memory
    assert not Engine(Settings()).leaks_memory
    assert Engine(Settings(pack=str(reference_pack))).leaks_memory


def test_memory_is_released_once_five_seconds_after_the_last_photo(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(Settings(pack=str(tiny_pack)))
    released: list[float] = []
    now = 0.0
    monkeypatch.setattr("visage.runtime.engine.release_memory", lambda: released.append(now))
    monkeypatch.setattr("time.monotonic", lambda: now)

    for moment in (0, 10):
        now = moment
        engine.analyze(tiny_png)
        for later in (4.5, 5.5, 6.5):
            now = moment + later
            engine.release_idle_memory()

    assert released == [5.5, 15.5]


def test_the_memory_of_the_warm_up_is_kept_until_the_first_photo(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(Settings(pack=str(tiny_pack)))
    engine.warm_up()
    released: list[bool] = []
    monkeypatch.setattr("visage.runtime.engine.release_memory", lambda: released.append(True))
    monkeypatch.setattr("time.monotonic", lambda: 10.0**9)

    engine.release_idle_memory()

    assert released == []


def test_threads_that_enhance_first_at_the_same_time_share_one_net(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Enhancer] = []

    def make_slowly(*arguments: Any) -> Enhancer:
        time.sleep(0.1)
        made.append(Enhancer(*arguments))
        return made[-1]

    monkeypatch.setattr("visage.runtime.engine.Enhancer", make_slowly)
    engine = Engine(Settings(pack=str(tiny_pack)), eager=False)
    # `cached_property` would have a lock of its own in Python 3.11, and none since.
    with ThreadPoolExecutor(4) as threads:
        used = list(threads.map(lambda _: engine.enhancer, range(4)))

    assert used == 4 * made
