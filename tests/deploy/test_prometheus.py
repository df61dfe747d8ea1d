"""A real Prometheus scrapes a service with the repo's configuration, and evaluates every expression of ours."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.deploy.monitoring import ALERTS, EXPRESSIONS, PROMETHEUS
from tests.support.deployment import needs, tool
from tests.support.paths import ROOT
from tests.support.service import Service, free_port, serving
from tests.support.waiting import wait_for


@needs("promtool")
@pytest.mark.parametrize("name", ["prometheus.yaml", "server.yaml"])
def test_promtool_accepts_a_configuration_and_its_rules(name: str) -> None:
    command = [str(tool("promtool")), "check", "config", str(PROMETHEUS / name)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scrapes a service each second."""
    folder = tmp_path_factory.mktemp("prometheus")
    with serving(folder / "log", "compact", WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="0") as service:
        yield from scraping(folder, service)


def scraping(folder: Path, service: Service) -> Iterator[str]:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS / name) for name in configuration["rule_files"]]
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [service.url.removeprefix("http://")]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(tool("prometheus")),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        assert wait_for(lambda: series(f"http://{address}", "up == 1")), (folder / "prometheus.log").read_text()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(60)


def series(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The series that an expression has now; none while Prometheus is starting."""
    try:
        answer = requests.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30)
    except requests.ConnectionError:
        return []
    return answer.json()["data"]["result"] if answer.ok else []


@needs("prometheus")
def test_a_scrape_has_the_metric_of_the_autoscaler_once_per_instance(prometheus: str) -> None:
    manifests = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "visage.yaml").read_text())
    (scaler,) = [each for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    (metric,) = scaler["spec"]["metrics"]

    (found,) = series(prometheus, metric["pods"]["metric"]["name"])

    assert found["value"][1] == "0"
    assert found["metric"]["job"] == "visage"


@needs("prometheus")
def test_the_alerts_are_evaluated_and_none_fires_for_a_service_at_rest(prometheus: str) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = requests.get(f"{prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    assert wait_for(lambda: {rule["health"] for rule in rules()} == {"ok"})
    assert [rule["name"] for rule in rules()] == [alert["alert"] for alert in ALERTS]
    # A scrape that a busy machine delays makes an alert pending for a moment.
    assert wait_for(lambda: {rule["state"] for rule in rules()} == {"inactive"})


@needs("prometheus")
@EXPRESSIONS
def test_an_expression_is_evaluated_without_warnings(prometheus: str, expression: str) -> None:
    answer = requests.get(f"{prometheus}/api/v1/query", params={"query": expression}, timeout=30).json()

    assert answer["status"] == "success", answer
    assert "warnings" not in answer
