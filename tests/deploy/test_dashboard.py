"""The dashboard, read by the types that Grafana Labs generates from Grafana's own definitions of dashboards."""

import copy
import json
import warnings
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.deploy.monitoring import DASHBOARD, PANELS, VARIABLES

EVERY_PANEL = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


@pytest.fixture(scope="module")
def grafana() -> Any:
    """The class of the dashboards that every version of Grafana reads. The package prefers a newer kind."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="needs make test-deploy")
    # Without them a panel's options and queries are dictionaries of anything.
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    return models.Dashboard


def read(grafana: Any, dashboard: dict[str, Any]) -> Any:
    """What Grafana's types keep of a dashboard, with their defaults."""
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder(sort_keys=True)
    return json.loads(encoder.encode(grafana.from_json(dashboard)))


def lost(given: Any, kept: Any, place: str = "") -> Iterator[str]:
    """The places of values that are not kept. A missing value is null."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name), f"{place}/{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif given != kept:
        yield place


def test_grafana_knows_every_field_of_the_dashboard(grafana: Any) -> None:
    assert [*lost(DASHBOARD, read(grafana, DASHBOARD))] == []


@pytest.mark.parametrize(
    ("part", "name"),
    [
        pytest.param("", "titel", id="dashboard"),
        pytest.param("templating/list/1", "includesAll", id="variable"),
        pytest.param("panels/0", "discription", id="panel"),
        pytest.param("panels/0/options/legend", "placment", id="legend"),
        pytest.param("panels/0/fieldConfig/defaults", "units", id="field"),
        pytest.param("panels/0/fieldConfig/defaults/custom", "fillOpactiy", id="graph"),
        pytest.param("panels/0/targets/0", "legendFormt", id="query"),
    ],
)
def test_this_test_notices_a_field_that_grafana_does_not_know(grafana: Any, part: str, name: str) -> None:
    changed = copy.deepcopy(DASHBOARD)
    at: Any = changed
    for step in part.split("/") if part else []:
        at = at[int(step) if isinstance(at, list) else step]
    at[name] = "anything"

    assert [*lost(changed, read(grafana, changed))] == [f"{f'/{part}' if part else ''}/{name}"]


def test_the_dashboard_has_a_name_and_works_with_any_data_source() -> None:
    assert DASHBOARD["uid"] == "visage"
    assert DASHBOARD["title"] == "Visage"
    assert DASHBOARD["schemaVersion"] >= 39
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "prometheus"


@EVERY_PANEL
def test_a_panel_has_a_unit_and_a_description(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        separate = [one[at] + one[size] <= other[at] or other[at] + other[size] <= one[at] for at, size in ("xw", "yh")]
        assert any(separate)
