"""The page of the API in a browser: forms that call the service, copies of examples, and the example for browsers."""

import html
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from tests.support.service import Service, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window

TOKEN = "a-token-of-the-tests"


class Elsewhere(ThreadingHTTPServer):
    """The web page of somebody else: an example."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.page = ""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Page(BaseHTTPRequestHandler):
    """Sends the page of its server."""

    server: Elsewhere

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory, elsewhere: Elsewhere) -> Iterator[Service]:
    """A service that requires a token, and that the page of somebody else may call."""
    settings = {"VISAGE_API_TOKEN": TOKEN, "VISAGE_CORS_ORIGINS": elsewhere.origin}
    log = tmp_path_factory.mktemp("protected") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", **settings) as service:
        yield service


def tried(page: Any, operation: str) -> Any:
    """The form of an operation, open."""
    section = page.locator(f"section#{operation}")
    section.get_by_text("Try it", exact=True).click()
    return section.locator("form")


def test_a_form_sends_a_photo_with_parameters_and_shows_the_response(window: Window) -> None:
    page = window.page
    page.goto(f"{window.url}/docs")
    form = tried(page, "predict")
    form.get_by_label("Photo").set_input_files(ASTRONAUT)
    form.get_by_label("max_faces").fill("1")

    form.get_by_role("button", name="Send").click()

    expect(form.get_by_role("status")).to_contain_text("200")
    expect(form.get_by_role("status")).to_contain_text('"gender": "Female"')
    assert window.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_form_sends_its_parameters_in_browsers_without_the_size_of_a_query(desktop: Window) -> None:
    desktop.page.add_init_script("delete URLSearchParams.prototype.size")
    desktop.page.goto(f"{desktop.url}/docs")
    form = tried(desktop.page, "predict")
    form.get_by_label("Photo").set_input_files(ASTRONAUT)
    form.get_by_label("max_faces").fill("1")

    with desktop.page.expect_request("**/predict*") as sent:
        form.get_by_role("button", name="Send").click()

    assert sent.value.url.endswith("/predict?max_faces=1")


def test_a_form_shows_a_picture(desktop: Window) -> None:
    desktop.page.goto(f"{desktop.url}/docs")
    form = tried(desktop.page, "anonymize")
    form.get_by_label("Photo").set_input_files(ASTRONAUT)
    form.get_by_label("method").select_option("solid")

    form.get_by_role("button", name="Send").click()

    expect(form.get_by_role("img")).to_be_visible()
    assert form.get_by_role("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 512


def test_a_form_with_a_parameter_in_the_path_shows_the_error_of_the_service(desktop: Window) -> None:
    desktop.page.goto(f"{desktop.url}/docs")
    form = tried(desktop.page, "show_batch")
    form.get_by_label("batch_id").fill("A" * 24)

    form.get_by_role("button", name="Send").click()

    expect(form.get_by_role("status")).to_contain_text("batch_not_found")


def test_a_form_sends_the_token_that_the_page_asks_for(browser: Any, protected: Service) -> None:
    for window in new_window(browser, protected.url, "desktop"):
        window.page.goto(f"{protected.url}/docs")
        form = tried(window.page, "show_batch_storage")
        form.get_by_role("button", name="Send").click()
        expect(form.get_by_role("status")).to_contain_text("unauthorized")

        window.page.get_by_label("Token").fill(TOKEN)
        form.get_by_role("button", name="Send").click()

        expect(form.get_by_role("status")).to_contain_text("reserved_bytes")


def test_a_button_copies_an_example(desktop: Window) -> None:
    page = desktop.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{desktop.url}/docs")

    page.locator("section#predict").get_by_role("button", name="Copy: curl").click()

    expect(page.locator("section#predict").get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -F image=@photo.jpg")


@pytest.mark.parametrize(("operation", "outcome"), [("predict", "Female, 20-29"), ("anonymize", "")])
def test_the_example_for_browsers_works_on_a_page_of_another_origin(
    browser: Any, protected: Service, elsewhere: Elsewhere, operation: str, outcome: str
) -> None:
    docs = requests.get(f"{protected.url}/docs", timeout=60).text
    section = docs.partition(f'<section class="panel" id="{operation}"')[2].partition("</section>")[0]
    (example,) = re.findall(r'<code data-language="HTML and JavaScript.*?>(.*?)</code>', section, re.DOTALL)
    elsewhere.page = html.unescape(example).replace("TOKEN", TOKEN)
    page = browser.new_page()
    page.goto(elsewhere.origin)

    page.locator("#photo").set_input_files(ASTRONAUT)

    if outcome:
        expect(page.locator("#faces")).to_have_text(outcome)
    else:
        expect(page.locator("#result")).to_have_js_property("naturalWidth", 512)
    page.close()
