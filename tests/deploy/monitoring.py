"""The dashboard, the alerts, and every expression that they ask of Prometheus."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "visage.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES: dict[str, dict[str, Any]] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}

PROMETHEUS = ROOT / "deploy" / "prometheus"
GROUPS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Every expression with the place where it is used. Grafana's variables are substituted."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", substituted(target["expr"])
    for variable in VARIABLES.values():
        if variable["type"] == "query":
            series, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            yield f"${variable['name']}", f"group by ({label}) ({substituted(series)})"
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]


def substituted(expression: str) -> str:
    for name, variable in VARIABLES.items():
        value = variable["query"].replace(",", "|") if variable["type"] == "custom" else ".*"
        expression = expression.replace(f'"${name}"', f'"{value}"')
    return expression.replace("$__rate_interval", "5m")


QUERIES = dict(queries())
EXPRESSIONS = pytest.mark.parametrize("expression", QUERIES.values(), ids=QUERIES.keys())
