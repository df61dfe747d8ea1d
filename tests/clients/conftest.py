"""Clients that generators make from the OpenAPI document, as a user would, and a photo for them to send."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.service import Service

HERE = Path(__file__).parent
DOCUMENT = ROOT / "visage" / "web" / "openapi.json"


@pytest.fixture(scope="module")
def python_client(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The modules of a client by openapi-python-client, and a `client` of `service`. A warning fails the generation."""
    pytest.importorskip("openapi_python_client", reason="needs `make test-clients`")
    folder = tmp_path_factory.mktemp("python")
    # It formats what it writes with ruff, which it looks for on the PATH.
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    options = ["--meta", "none", "--fail-on-warning", "--config", str(HERE / "openapi-python-client.yaml")]
    paths = ["--path", str(DOCUMENT), "--output-path", str(folder / "generated_client")]
    run([sys.executable, "-m", "openapi_python_client", "generate", *paths, *options], folder, environment)
    sys.path.insert(0, str(folder))
    operations = ("anonymize", "delete_batch", "enhance", "fetch_batch", "predict", "show_batch", "submit_batch")
    api = {name: importlib.import_module(f"generated_client.api.default.{name}") for name in operations}
    models, types = (importlib.import_module(f"generated_client.{name}") for name in ("models", "types"))
    client = importlib.import_module("generated_client").Client(base_url=service.url)
    yield SimpleNamespace(**api, models=models, types=types, client=client)
    client.get_httpx_client().close()
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def typescript_output(service: Service, tiny_jpeg: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `client.ts` printed, compiled with the types that openapi-typescript generated, by a strict compiler."""
    modules = HERE / "node_modules"
    if not modules.is_dir() or shutil.which("node") is None:
        pytest.skip("needs `make test-clients` and Node")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("client.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(modules)
    (folder / "photo.jpg").write_bytes(tiny_jpeg)
    run(["node", "node_modules/openapi-typescript/bin/cli.js", str(DOCUMENT), "--output", "api.d.ts"], folder)
    run(["node", "node_modules/typescript/bin/tsc"], folder)
    output: dict[str, Any] = json.loads(run(["node", "client.js", service.url, "photo.jpg"], folder))
    return output


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
