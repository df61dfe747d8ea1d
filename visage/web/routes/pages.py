"""The routes for readers: the page, the contract, and the contract as a page."""

from flask import Blueprint, Response, current_app

from visage.web.docs_page import docs_page

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def page() -> Response:
    """The page: look at faces, cover them, or both as the camera sees them."""
    return _packaged("page.html", "text/html; charset=utf-8")


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The contract of this service."""
    return _packaged("openapi.json", "application/json")


@blueprint.get("/docs")
def docs() -> str:
    """The contract for readers."""
    return docs_page()


def _packaged(name: str, content_type: str) -> Response:
    """A file that comes with the package, read once an app."""
    cache = current_app.extensions.setdefault("packaged_files", {})
    if name not in cache:
        with current_app.open_resource(name) as file:
            cache[name] = file.read()
    return Response(cache[name], content_type=content_type)
