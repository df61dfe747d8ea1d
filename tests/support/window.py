"""A window of a real browser. Importing this module skips the test if Chromium or its driver is missing."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if CHROMIUM is None:
    pytest.skip("needs a browser: there is no chromium on the path", allow_module_level=True)

_REASON = "needs the packages that `make test-browser` installs"
sync_api: Any = pytest.importorskip("playwright.sync_api", reason=_REASON)
axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason=_REASON)
expect = sync_api.expect

# Milliseconds. The driver's default of 5 seconds is too short for a slow or busy machine.
TIMEOUT = 60_000
expect.set_options(timeout=TIMEOUT)

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"

# The browser logs this for error statuses and lost connections. The page itself reports them to the user.
_NETWORK_ERROR = "Failed to load resource"

# Width and height in CSS pixels.
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


@dataclass(frozen=True)
class HeldRequest:
    """The next request to an address, which waits until the test lets it continue."""

    page: Any
    routes: list[Any]

    def wait(self) -> Any:
        """Wait for the request and return its route, for `continue_` or `abort`."""
        for _ in range(TIMEOUT // 10):
            if self.routes:
                return self.routes[0]
            self.page.wait_for_timeout(10)
        raise AssertionError("The page has not sent the request.")

    def handle(self, route: Any) -> None:
        """Hold the first request, and let later ones pass."""
        # `times=1` would remove the route, and removing a page's last route can drop other requests in flight.
        if self.routes:
            route.continue_()
        else:
            self.routes.append(route)


@dataclass(frozen=True)
class Window:
    """A page in a desktop or phone window. `url` is the service's address."""

    page: Any
    url: str

    def open(self, view: str = "find-faces") -> Any:
        """Show a view and wait until it is usable."""
        self.page.goto(f"{self.url}/#{view}")
        self.page.locator(f"html[data-ready={view}]").wait_for(state="attached")
        return self.page

    def record(self, event: str) -> list[Any]:
        """Collect every `request` or `response` of the page from now on, in a list that keeps growing."""
        recorded: list[Any] = []
        # playwright sets attributes on listeners, which builtin methods do not allow.
        self.page.on(event, lambda each: recorded.append(each))  # noqa: PLW0108
        return recorded

    def hold(self, address: str) -> HeldRequest:
        """Hold the next request to addresses that match a pattern."""
        held = HeldRequest(self.page, [])
        # playwright sets attributes on handlers, which methods do not allow.
        self.page.route(address, lambda route: held.handle(route))  # noqa: PLW0108
        return held

    def respond_once(self, address: str, **response: Any) -> HeldRequest:
        """Respond to the next matching request with `response`, and hold the one after it.

        So the page keeps its message about the response until the test lets the second request continue.
        """
        held = HeldRequest(self.page, [])
        responses = [response]
        self.page.route(address, lambda route: route.fulfill(**responses.pop()) if responses else held.handle(route))
        return held

    def reject_once(self, address: str, message: str = "Too many photos are waiting; try again.") -> HeldRequest:
        """`respond_once` with the 429 of a busy service, which asks for a retry after one second."""
        body = {"error": message, "code": "queue_full"}
        return self.respond_once(address, status=429, headers={"Retry-After": "1"}, json=body)

    def drop(self, *paths: Path) -> None:
        """Drop local files and folders on the page, as a file manager does."""
        session = self.page.context.new_cdp_session(self.page)
        dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": event, "x": 200, "y": 200, "data": dragged})
        session.detach()

    def violations(self) -> Sequence[str]:
        """The accessibility violations that axe-core finds, as rule and HTML of the first node."""
        found = axe.Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]

    def press_until(self, key: str, selector: str, max_presses: int = 40) -> None:
        """Press a key until an element that matches `selector` has the focus."""
        for _ in range(max_presses):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"{key} does not reach {selector}.")


def open_browser(browser_type: Any, *arguments: str, camera: bool = True) -> Any:
    """Launch headless Chromium with a fake camera that shows a test picture, or without a camera."""
    options = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] if camera else []
    # The sandbox does not work for root.
    options += ["--no-sandbox"] if os.getuid() == 0 else []
    return browser_type.launch(executable_path=CHROMIUM, args=[*options, *arguments])


def new_window(browser: Any, url: str, size: str, **options: Any) -> Iterator[Window]:
    """Open a window until the test ends. An error of the page's scripts or its security policy fails the test."""
    width, height = SIZES[size]
    touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
    context = browser.new_context(viewport={"width": width, "height": height}, **touch, **options)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    yield Window(page, url)
    context.close()
    assert [error for error in errors if _NETWORK_ERROR not in error] == [], errors
