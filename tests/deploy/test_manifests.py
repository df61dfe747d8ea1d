"""The files for Docker Compose and Kubernetes: valid schemas, known settings, and figures that agree."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployment import GRACEFUL_SECONDS
from tests.support.paths import ROOT
from visage.batches.archive_directory import DIRECTORY_BUDGET, FILE_BUDGET
from visage.settings import Settings, rows

DEPLOY = ROOT / "deploy"
COMPOSE = {path.name: yaml.safe_load(path.read_text()) for path in sorted(DEPLOY.glob("compose*.yaml"))}
LAPTOP, SERVER = COMPOSE["compose.yaml"], COMPOSE["compose.server.yaml"]
SERVICES = {
    f"{file} {name}": service
    for file, content in COMPOSE.items()
    for name, service in content["services"].items()
    # compose.tls.yaml only extends a service of compose.server.yaml.
    if file != "compose.tls.yaml"
}
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "visage"}

MANIFESTS: list[dict[str, Any]] = [
    manifest
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]
    for manifest in MANIFESTS
    if manifest["kind"] in {"Deployment", "StatefulSet"}
}
CONTAINERS = {name: pod["spec"]["containers"][0] for name, pod in PODS.items()}
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.30", "1.37"

PAGE = (ROOT / "docs" / "operations.md").read_text()

CHECK_JSONSCHEMA = shutil.which("check-jsonschema", path=Path(sys.executable).parent) or shutil.which(
    "check-jsonschema"
)

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
each_of_ours = pytest.mark.parametrize("service", OURS.values(), ids=OURS.keys())
every_pod = pytest.mark.parametrize("name", PODS)


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


def environment(name: str) -> dict[str, str]:
    return {each["name"]: each["value"] for each in CONTAINERS[name].get("env", [])}


def as_started(service: dict[str, Any], **variables: str) -> Settings:
    """The settings of a service that Compose starts with these variables in its own environment."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1]) or match[2]

    texts = {name: re.sub(r"\$\{(\w+):-(.*?)\}", value, text) for name, text in service["environment"].items()}
    return Settings.from_environment(texts)


def mebibytes(size: str) -> int:
    """The mebibytes of a size in the notation of Compose (1600m, 2g) or Kubernetes (1600Mi)."""
    number, unit = re.fullmatch(r"(\d+)(m|g|Mi|Gi)", size).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit in {"g", "Gi"} else 1)


def test_the_bodies_that_nginx_buffers_fit_into_its_memory() -> None:
    configuration = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    (photos,) = re.findall(r"limit_conn total (\d+);", configuration)
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", configuration)
    nginx = SERVER["services"]["nginx"]
    (room,) = re.findall(r"^/tmp:size=(\w+)", "\n".join(nginx["tmpfs"]), re.MULTILINE)

    assert int(photos) * int(megabytes) < mebibytes(room) < mebibytes(nginx["mem_limit"])


@pytest.mark.skipif(CHECK_JSONSCHEMA is None, reason="needs check-jsonschema: make test-deploy")
@pytest.mark.parametrize("file", COMPOSE)
def test_a_compose_file_matches_the_schema(file: str) -> None:
    command = [str(CHECK_JSONSCHEMA), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None, reason="needs kubernetes-validate: make test-deploy"
)
@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}"
)
def test_a_manifest_matches_the_schema_of_kubernetes(manifest: dict[str, Any], version: str) -> None:
    import kubernetes_validate  # noqa: PLC0415

    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_oldest_tested_kubernetes_is_the_documented_one() -> None:
    assert f"Kubernetes {OLDEST_KUBERNETES} or later" in (DEPLOY / "kubernetes" / "visage.yaml").read_text()


@every_service
def test_a_service_has_minimal_privileges(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["restart"] == "unless-stopped"
    assert ":latest" not in service["image"]


@every_service
def test_mounted_files_and_volumes_exist(service: dict[str, Any]) -> None:
    named = {name for content in COMPOSE.values() for name in content.get("volumes", {})}
    for volume in service["volumes"]:
        source, target, *mode = volume.split(":")
        if source.startswith("./"):
            assert (DEPLOY / source).exists()
            assert mode == ["ro"]
        else:
            assert source in named
        assert target.startswith("/")


@each_of_ours
def test_settings_of_a_service_are_known_and_fit_its_cpus(service: dict[str, Any]) -> None:
    settings = as_started(service)

    assert set(service["environment"]) - {"FORWARDED_ALLOW_IPS"} <= {row.name for row in rows()}
    assert settings.workers <= service["cpus"]
    assert settings.batch_jobs <= service["cpus"]


@each_of_ours
def test_a_service_has_time_to_drain(service: dict[str, Any]) -> None:
    assert int(service["stop_grace_period"].removesuffix("s")) > GRACEFUL_SECONDS


def test_the_laptop_service_listens_only_on_loopback() -> None:
    assert list(LAPTOP["services"]) == ["visage"]
    assert LAPTOP["services"]["visage"]["ports"] == ["127.0.0.1:8080:8080"]


def test_only_nginx_is_reachable_from_outside_the_server() -> None:
    published = {
        name: port
        for content in (SERVER, COMPOSE["compose.tls.yaml"])
        for name, service in content["services"].items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert set(published) == {"nginx"}
    assert SERVER["networks"]["inside"] == {"internal": True}
    for name, service in SERVER["services"].items():
        assert ("outside" in service["networks"]) == bool(service.get("ports")), name


def test_the_server_takes_its_token_and_host_names_from_the_environment_of_compose() -> None:
    service = SERVER["services"]["visage"]

    public = as_started(service)
    closed = as_started(service, VISAGE_API_TOKEN="secret", VISAGE_ALLOWED_HOSTS="photos.example")

    assert (public.api_token, public.allowed_hosts) == ("", ())
    assert (closed.api_token, closed.allowed_hosts) == ("secret", ("photos.example",))


def test_the_services_of_the_server_share_queue_and_state() -> None:
    services = SERVER["services"]

    assert set(services) == {"nginx", "visage", "batches", "redis", "prometheus", "grafana"}
    assert services["visage"]["deploy"]["replicas"] == 2
    assert services["batches"]["command"] == ["python", "-m", "visage.batches"]
    for name in ("visage", "batches"):
        assert services[name]["environment"]["VISAGE_BATCH_REDIS"] == "redis://redis:6379/0"
        assert services[name]["volumes"] == ["state:/state"]
    # Only the consumer processes batches.
    assert services["visage"]["environment"]["VISAGE_BATCH_JOBS"] == "0"
    assert int(services["batches"]["environment"]["VISAGE_BATCH_JOBS"]) > 0


def test_prometheus_finds_the_instances_and_grafana_finds_prometheus_and_the_dashboard() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "server.yaml").read_text())
    (job,) = scraped["scrape_configs"]
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "visage.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVER["services"]["grafana"]["volumes"]]

    assert job["job_name"] == "visage"
    assert job["dns_sd_configs"][0]["names"] == ["visage"]
    assert job["dns_sd_configs"][0]["port"] == Settings().port
    assert [name for name in scraped["rule_files"] if not (DEPLOY / "prometheus" / name).is_file()] == []
    assert (source["url"], source["isDefault"]) == ("http://prometheus:9090", True)
    assert f"{provider['options']['path']}/visage.json" in mounted


@every_pod
def test_a_pod_has_minimal_privileges(name: str) -> None:
    pod, container = PODS[name]["spec"], CONTAINERS[name]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert set(container["resources"]["limits"]) == {"memory"}


@every_pod
def test_the_volumes_of_a_pod_exist(name: str) -> None:
    pod = PODS[name]["spec"]
    (workload,) = [each for each in MANIFESTS if each["metadata"]["name"] == name and "template" in each["spec"]]
    own = [each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])]
    claims = [each["metadata"]["name"] for each in of_kind("PersistentVolumeClaim")]

    assert {each["name"] for each in CONTAINERS[name]["volumeMounts"]} == {
        *own,
        *(volume["name"] for volume in pod.get("volumes", [])),
    }
    for volume in pod.get("volumes", []):
        assert volume.get("persistentVolumeClaim", {}).get("claimName", claims[0]) in claims


@pytest.mark.parametrize("name", ["visage", "visage-batches"])
def test_settings_of_a_pod_are_known_and_fit_its_cpus(name: str) -> None:
    settings = Settings.from_environment(environment(name))
    processors = int(CONTAINERS[name]["resources"]["requests"]["cpu"])

    assert set(environment(name)) <= {row.name for row in rows()}
    assert settings.batch_redis == "redis://visage-queue:6379/0"
    assert settings.batch_jobs <= processors
    assert name == "visage-batches" or settings.workers <= processors


@pytest.mark.parametrize(
    "manifest", of_kind("Service") + of_kind("PodDisruptionBudget") + of_kind("NetworkPolicy"), ids=str
)
def test_a_selector_matches_its_pods(manifest: dict[str, Any]) -> None:
    spec = manifest["spec"]
    selector = spec.get("podSelector", spec.get("selector"))
    labels = selector.get("matchLabels", selector).items()

    assert [name for name, pod in PODS.items() if labels <= pod["metadata"]["labels"].items()] == [
        manifest["metadata"]["name"]
    ]


@every_pod
def test_a_workload_selects_its_pods(name: str) -> None:
    (workload,) = [each for each in MANIFESTS if each["metadata"]["name"] == name and "template" in each["spec"]]

    assert workload["spec"]["selector"]["matchLabels"] == PODS[name]["metadata"]["labels"]


def test_probes_use_the_health_routes() -> None:
    container = CONTAINERS["visage"]
    probes = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}

    assert {probe: each["path"] for probe, each in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    assert container["ports"] == [{"name": "http", "containerPort": Settings().port}]


def test_a_pod_has_time_to_drain() -> None:
    spec = PODS["visage"]["spec"]
    delay = CONTAINERS["visage"]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert spec["terminationGracePeriodSeconds"] > delay + GRACEFUL_SECONDS
    assert PODS["visage-batches"]["spec"]["terminationGracePeriodSeconds"] > GRACEFUL_SECONDS


def test_the_autoscaler_follows_the_queue_and_a_disruption_leaves_an_instance() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    (budget,) = of_kind("PodDisruptionBudget")

    assert f"| `{metric['pods']['metric']['name']}` |" in PAGE
    assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "visage"}
    assert scaler["spec"]["minReplicas"] > budget["spec"]["maxUnavailable"]


def test_memory_limits_cover_the_documented_calculation() -> None:
    (sum_,) = re.findall(r"^219 \+ 2 x \(470 \+ 220 \+ 300 \+ 315 \+ 200 \+ 134 \+ 80\) = (\d+) MB", PAGE, re.MULTILINE)
    # A body that is parsed from JSON is in memory three times.
    bodies = Settings().max_body_memory + 2 * Settings().max_body_bytes
    limits = {
        SERVER["services"]["visage"]["mem_limit"],
        SERVER["services"]["batches"]["mem_limit"],
        *(CONTAINERS[name]["resources"]["limits"]["memory"] for name in ("visage", "visage-batches")),
    }

    assert round(bodies / 1e6) == 315
    assert round(4 * Settings().max_redacted_pixels / 1e6) == 200  # responses, see visage/server/connection_server.py
    assert (round(FILE_BUDGET.limit / 1e6), round(DIRECTORY_BUDGET.limit / 1e6)) == (134, 80)
    assert int(sum_) == 219 + 2 * (470 + 220 + 300 + 315 + 200 + 134 + 80)
    assert {mebibytes(limit) for limit in limits} == {3500}
    assert int(sum_) * 1e6 < 3500 * 2**20
    # The laptop service also has a batch consumer.
    assert (int(sum_) + 470 + 220 + 300) * 1e6 < mebibytes(LAPTOP["services"]["visage"]["mem_limit"]) * 2**20
