"""The page loads its own files only, and has a form without scripts."""

import json
import re

import pytest
from flask.testing import FlaskClient

from tests.support.paths import ROOT

STATIC = ROOT / "visage" / "web" / "static"


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    response = client.get("/")

    assert response.mimetype == "text/html"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "://" not in response.text


def test_the_page_has_no_inline_script_or_style_but_data(client: FlaskClient) -> None:
    page = client.get("/").text

    assert re.findall(r"<script(?! type=.module. src=.static/)(?! type=.application/json.)", page) == []
    assert re.findall(r"<style|\bstyle=|\bon\w+=", page) == []


def test_every_file_that_the_page_loads_exists(client: FlaskClient) -> None:
    named = re.findall(r'(?:src|href)="(static/[^"]+)"', client.get("/").text)

    assert named
    for path in named:
        with client.get(path) as response:
            assert response.status_code == 200, path


def imported_by(*modules: str) -> set[str]:
    """The names of `modules`, and of all that they import when they are loaded."""
    found, waiting = set[str](), list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += re.findall(
                r'^(?:import|\}) .*from "\./([\w-]+)\.js";$', (STATIC / f"{name}.js").read_text(), re.M
            )
    return found


def test_what_every_view_needs_is_loaded_at_once(client: FlaskClient) -> None:
    page = client.get("/").text

    named = re.findall(r'(?:rel="modulepreload" href|type="module" src)="static/([\w-]+)\.js"', page)
    assert set(named) == imported_by("page")


@pytest.mark.parametrize("view", ["find-faces", "hide-faces", "enlarge", "camera"])
def test_what_a_view_imports_is_loaded_at_once_and_only_with_it(view: str) -> None:
    [table] = re.findall(r"^const IMPORTS = (\{.*?^\});", (STATIC / "page.js").read_text(), re.M | re.S)
    named = json.loads(re.sub(r",(\s*[\]}])", r"\1", table))

    assert set(named[view]) == imported_by(view) - imported_by("page") - {view}


def test_every_module_of_the_page_belongs_to_a_view() -> None:
    # The page of the API has one of its own.
    modules = {path.stem for path in STATIC.glob("*.js")} - {"docs"}

    assert modules == imported_by("page", "find-faces", "hide-faces", "enlarge", "camera")


def test_a_page_without_scripts_has_a_form_that_posts_a_photo(client: FlaskClient) -> None:
    form = client.get("/").text.partition("<noscript>")[2].partition("</noscript>")[0]

    assert '<form class="plain" action="analyze" method="post" enctype="multipart/form-data">' in form
    assert 'name="image" type="file"' in form


def test_the_page_tells_how_large_an_enlarged_photo_may_be(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)

    assert 'data-result-pixels="49500000"' in page
