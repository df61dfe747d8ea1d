"""Shared fixtures: packs and photos, an engine, a Flask app with a client for each test, and real services."""

import importlib.util
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray

from tests.support.container import IMAGE, Container
from tests.support.enhance_packs import write_edsr_pack
from tests.support.paths import SHARED
from tests.support.service import Service, serving
from tests.support.tiny_pack import TINY_FACES, draw, write_tiny_pack
from visage.runtime.engine import Engine
from visage.settings import Settings, rows
from visage.web import create_app


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """With `VISAGE_TEST_IMAGE`, a test that uses no container is not counted as one that the image passed."""
    before = len(Container.started)
    yield
    services = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Service)]
    is_contained = any(isinstance(service.process, Container) for service in services)
    if IMAGE and not is_contained and len(Container.started) == before:
        pytest.skip("passed, but used no container")


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of tiny nets that detect coloured squares as faces."""
    return write_tiny_pack(tmp_path_factory.mktemp("packs") / "tiny")


@pytest.fixture(scope="session")
def slow_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A super-resolution net that takes about 20 seconds on one core for a million pixels."""
    return write_edsr_pack(tmp_path_factory.mktemp("enhance") / "edsr", blocks=4, channels=128)


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch, tiny_pack: Path) -> None:
    """No setting except the tiny pack, whatever the environment of the tests is."""
    for row in rows():
        monkeypatch.delenv(row.name, raising=False)
    monkeypatch.setenv("VISAGE_PACK", str(tiny_pack))


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even if the parent process ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tiny_photo() -> NDArray[np.uint8]:
    """`(384, 384, 3) uint8 BGR` with the three squares of `TINY_FACES`."""
    return draw(faces=TINY_FACES)


@pytest.fixture(scope="session")
def tiny_png(tiny_photo: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", tiny_photo)[1].tobytes()


@pytest.fixture(scope="session")
def tiny_jpeg(tiny_photo: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", tiny_photo, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


@pytest.fixture(scope="session")
def engine(tiny_pack: Path) -> Engine:
    engine = Engine(Settings(pack=str(tiny_pack), slots=2, queue=1000, wait_seconds=60))
    engine.warm_up()
    return engine


@pytest.fixture(scope="session")
def app(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    state = tmp_path_factory.mktemp("app") / "state"
    return create_app(Settings(pack=str(tiny_pack), state_dir=state, max_body_bytes=2**20, max_image_pixels=4_000_000))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def astronaut_png() -> bytes:
    """A PNG of 512 x 512: Eileen Collins, photographed by NASA (public domain), from scikit-image."""
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.submodule_search_locations is not None
    return (Path(package.submodule_search_locations[0]) / "data" / "astronaut.png").read_bytes()


@pytest.fixture(scope="session")
def astronaut(astronaut_png: bytes) -> NDArray[np.uint8]:
    """The same photo as `(512, 512, 3) uint8 BGR`."""
    return np.asarray(cv2.imdecode(np.frombuffer(astronaut_png, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture(scope="session")
def reference_pack() -> Path:
    """A pack of real nets, beside the repo. Without it, tests that need it are skipped."""
    pack = SHARED / "packs" / "reference"
    if not pack.is_dir():
        pytest.skip("needs real nets in ../shared/packs/reference")
    return pack


@pytest.fixture(scope="session")
def photos() -> Path:
    """Real photographs, beside the repo. Without them, tests that need them are skipped."""
    folder = SHARED / "photos"
    if not folder.is_dir():
        pytest.skip("needs real photographs in ../shared/photos")
    return folder


@pytest.fixture(scope="session")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real gunicorn with two workers and the tiny pack."""
    log = tmp_path_factory.mktemp("service") / "log"
    settings = {"VISAGE_MAX_BODY_BYTES": str(2**20), "VISAGE_QUEUE": "64", "VISAGE_WAIT_SECONDS": "60"}
    with serving(log, tiny_pack, WEB_CONCURRENCY="2", **settings) as service:
        yield service


@pytest.fixture(scope="session")
def reference_service(reference_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real gunicorn with two workers and the real nets."""
    log = tmp_path_factory.mktemp("reference_service") / "log"
    with serving(log, reference_pack, WEB_CONCURRENCY="2", VISAGE_QUEUE="64", VISAGE_WAIT_SECONDS="60") as service:
        yield service
