"""The page loads its own files only, and has a form without scripts."""

import re

from flask.testing import FlaskClient

from tests.support.paths import ROOT


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


def test_every_module_of_the_page_is_preloaded(client: FlaskClient) -> None:
    page = client.get("/").text

    # The page of the API has one of its own.
    modules = {path.name for path in (ROOT / "visage" / "web" / "static").glob("*.js")} - {"docs.js"}
    assert modules == set(re.findall(r'(?:rel="modulepreload" href|type="module" src)="static/([^"]+)"', page))


def test_a_page_without_scripts_has_a_form_that_posts_a_photo(client: FlaskClient) -> None:
    form = client.get("/").text.partition("<noscript>")[2].partition("</noscript>")[0]

    assert '<form class="plain" action="analyze" method="post" enctype="multipart/form-data">' in form
    assert 'name="image" type="file"' in form


def test_the_page_tells_how_large_an_enlarged_photo_may_be(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)

    assert 'data-result-pixels="49500000"' in page
