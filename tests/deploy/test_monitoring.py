"""What the dashboard, the alerts and the operations page name is what a real service exposes."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    VectorSelector,
    parse,
    parse_duration,
    walk,
)

from tests.deploy.monitoring import ALERTS, EXPRESSIONS, GROUPS, PROMETHEUS
from tests.support.paths import ROOT
from tests.support.service import serving
from tests.support.waiting import wait_for
from visage.errors import VisageError
from visage.settings import Settings, rows

PAGE = (ROOT / "docs" / "operations.md").read_text()

# The labels that Prometheus adds to every scraped series, and the series that it creates itself.
TARGET_LABELS = {"job", "instance"}
OWN_SERIES = "up"

Series = Mapping[str, Mapping[str, set[str]]]


def statuses_and_codes() -> Iterator[tuple[str, str]]:
    kinds = [VisageError]
    for kind in kinds:
        yield str(kind.status), kind.code
        kinds.extend(kind.__subclasses__())


@pytest.fixture(scope="module")
def exposed(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory, tiny_png: bytes) -> Series:
    """Every series of a service after accepted and rejected requests, as {series: {label: values}}."""
    log = tmp_path_factory.mktemp("deploy") / "log"
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_CACHE_BYTES": str(2**20), "VISAGE_MAX_BODY_BYTES": str(2**20)}
    with serving(log, tiny_pack, **settings) as service:
        for _ in range(2):
            assert service.post(tiny_png).ok
            for route in ("/analyze", "/anonymize", "/enhance"):
                assert service.post(tiny_png, route).ok
        assert not service.post(b"This is no photo.").ok
        assert not service.post(bytes(2**20 + 1)).ok
        assert requests.post(service.url + "/batches", files={"files": tiny_png}, timeout=60).ok
        assert wait_for(lambda: "visage_batch_files_total{" in requests.get(service.url + "/metrics", timeout=60).text)
        # A scrape does not count itself, so scrape twice.
        for _ in range(2):
            text = requests.get(service.url + "/metrics", timeout=60).text
    series: dict[str, dict[str, set[str]]] = {OWN_SERIES: {}}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = series.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return series


EVERY_ALERT = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def parts(expression: Expr) -> list[Any]:
    """The expression and all of its subexpressions."""
    found: list[Any] = []

    def collect(part: Expr) -> bool:
        found.append(part)
        return True

    walk(expression, collect)
    return found


def selectors(expression: Expr) -> list[VectorSelector]:
    return [part for part in parts(expression) if isinstance(part, VectorSelector)]


def labels_below(expression: Expr, exposed: Series) -> set[str]:
    """All labels of the series in `expression`."""
    return TARGET_LABELS.union(*(exposed[str(selector.name)] for selector in selectors(expression)))


@EXPRESSIONS
def test_the_series_and_labels_of_an_expression_are_exposed(exposed: Series, expression: str) -> None:
    used = selectors(parse(expression))

    assert used
    for selector in used:
        assert selector.name in exposed
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= labels_below(selector, exposed)


@EXPRESSIONS
def test_an_expression_matches_possible_label_values(exposed: Series, expression: str) -> None:
    possible = {
        "status": {status for status, _ in statuses_and_codes()},
        "code": {code for _, code in statuses_and_codes()},
    }
    for selector in selectors(parse(expression)):
        for matcher in selector.matchers.matchers:
            if matcher.name in TARGET_LABELS:
                continue
            known = possible.get(matcher.name, set()) | exposed[str(selector.name)][matcher.name]
            exact = matcher.op in (MatchOp.Equal, MatchOp.NotEqual)
            for expected in matcher.value.split("|"):
                pattern = re.escape(expected) if exact else expected
                assert any(re.fullmatch(pattern, value) for value in known), f"{matcher.name} is never {expected}"


@EXPRESSIONS
def test_an_expression_groups_by_labels_of_its_series(exposed: Series, expression: str) -> None:
    for part in parts(parse(expression)):
        if isinstance(part, AggregateExpr) and part.modifier:
            assert set(part.modifier.labels) <= labels_below(part.expr, exposed)
        if isinstance(part, BinaryExpr) and part.modifier and part.modifier.matching:
            assert set(part.modifier.matching.labels) <= labels_below(part, exposed)


@EXPRESSIONS
def test_a_quantile_is_calculated_from_buckets_grouped_by_le(expression: str) -> None:
    for part in parts(parse(expression)):
        if isinstance(part, Call) and part.func.name == "histogram_quantile":
            buckets = part.args[1]
            assert all(str(selector.name).endswith("_bucket") for selector in selectors(buckets))
            assert "le" in buckets.modifier.labels
            assert buckets.modifier.type == AggModifierType.By


def test_these_tests_notice_series_and_labels_that_do_not_exist(exposed: Series) -> None:
    assert "visage_slots_idle" not in exposed
    assert "pack" not in labels_below(parse("sum(rate(visage_requests_total[5m]))"), exposed)
    assert {"route", "status"} <= labels_below(parse("sum(rate(visage_requests_total[5m]))"), exposed)


def test_names_of_groups_and_alerts_are_unique() -> None:
    for names in ([group["name"] for group in GROUPS], [alert["alert"] for alert in ALERTS]):
        assert names
        assert len(set(names)) == len(names)


@EVERY_ALERT
def test_an_alert_has_a_severity_a_summary_and_a_runbook(alert: dict[str, Any]) -> None:
    assert set(alert) == {"alert", "expr", "for", "labels", "annotations"}
    assert parse_duration(alert["for"]).total_seconds() > 0
    assert set(alert["labels"]) == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert all(text.endswith(".") for name, text in alert["annotations"].items() if name != "runbook")
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"


@EVERY_ALERT
def test_the_texts_of_an_alert_use_labels_that_the_expression_keeps(exposed: Series, alert: dict[str, Any]) -> None:
    expression = parse(alert["expr"])
    kept = labels_below(expression, exposed)
    for part in parts(expression):
        if isinstance(part, AggregateExpr):
            kept &= set(part.modifier.labels if part.modifier else ())

    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(alert["annotations"]))) <= kept


def test_the_operations_page_has_one_section_for_each_alert() -> None:
    chapter = PAGE.partition("\n## What to do at an alert\n")[2]

    assert re.findall(r"^### (\w+)$", chapter, re.MULTILINE) == [alert["alert"] for alert in ALERTS]


def test_the_operations_page_describes_every_metric_with_its_labels(exposed: Series) -> None:
    described = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(visage_\w+)` \|([^|]*)\|[^|]*\|$", PAGE, re.MULTILINE)
    }
    found: dict[str, set[str]] = {}
    for name, labels in exposed.items():
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        found.setdefault(family, set()).update(set(labels) - {"le"})
    del found[OWN_SERIES]

    assert described == found


def test_the_settings_and_codes_of_the_operations_page_exist() -> None:
    codes = {code for _, code in statuses_and_codes()}

    assert set(re.findall(r"VISAGE_[A-Z_]+|WEB_CONCURRENCY", PAGE)) <= {row.name for row in rows()}
    assert set(re.findall(r"\b[45]\d\d `(\w+)`", PAGE)) <= codes


def test_the_links_of_the_operations_page_work() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)", PAGE)

    assert targets
    for target, section in targets:
        file = ROOT / "docs" / target
        assert file.exists(), target
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) if section else []
        assert section in ["", *(re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings)]


def test_prometheus_scrapes_the_default_address_under_the_job_name_of_the_alerts() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    (job,) = configuration["scrape_configs"]

    assert [name for name in configuration["rule_files"] if not (PROMETHEUS / name).is_file()] == []
    assert job["static_configs"] == [{"targets": [f"localhost:{Settings().port}"]}]
    for alert in ALERTS:
        for selector in selectors(parse(alert["expr"])):
            named = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "job"]
            assert named == ([job["job_name"]] if selector.name == OWN_SERIES else [])
