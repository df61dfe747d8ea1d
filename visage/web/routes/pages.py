"""The web page, the OpenAPI document, and the documentation page made from it."""

from flask import Blueprint, Response, current_app

from visage.web.docs_page import docs_page

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def page() -> Response:
    """Return the web page."""
    return _packaged_file("page.html", "text/html; charset=utf-8")


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    return _packaged_file("openapi.json", "application/json")


@blueprint.get("/docs")
def docs() -> str:
    """Return the OpenAPI document as a web page."""
    return docs_page()


def _packaged_file(name: str, content_type: str) -> Response:
    """Return a file of this package. Each app reads it once."""
    cache = current_app.extensions.setdefault("packaged_files", {})
    if name not in cache:
        with current_app.open_resource(name) as file:
            cache[name] = file.read()
    return Response(cache[name], content_type=content_type)
