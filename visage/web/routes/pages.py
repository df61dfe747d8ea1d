"""The web page, the OpenAPI document, and the documentation page made from it."""

from typing import Any

from flask import Blueprint, Response, current_app, render_template, request

from visage.web.docs import docs_page
from visage.web.languages import COOKIE, language_of, languages
from visage.web.photo_request import this_engine

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def page() -> Response:
    """Return the web page in a language of the visitor. It tells how large an enlarged photo may be."""
    language = language_of(request)
    page = render_template(
        "page.html",
        text=language.page,
        script_texts={"texts": language.script, "errors": language.errors},
        language=language,
        languages=languages().values(),
        cookie=COOKIE,
        max_result_pixels=this_engine().enhancer.max_result_pixels,
    )
    response = Response(page, content_type="text/html; charset=utf-8")
    response.content_language.add(language.code)
    response.vary.update(["Accept-Language", "Cookie"])
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    return Response(_packaged_file("openapi.json"), content_type="application/json")


@blueprint.get("/docs")
def docs() -> str:
    """Return the OpenAPI document as a web page."""
    return docs_page(token=bool(this_engine().settings.api_token))


def _packaged_file(name: str) -> bytes:
    """Return a file of this package. Each app reads it once."""
    cache: dict[str, Any] = current_app.extensions.setdefault("packaged_files", {})
    if name not in cache:
        with current_app.open_resource(name) as file:
            cache[name] = file.read()
    content: bytes = cache[name]
    return content
