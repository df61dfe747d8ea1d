"""A window of a real browser. Whoever imports this is skipped where there is none, or nothing that drives it."""

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

_REASON = "needs what `make test-browser` installs"
sync_api: Any = pytest.importorskip("playwright.sync_api", reason=_REASON)
axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason=_REASON)
expect = sync_api.expect

# Milliseconds; a machine that stalls, or is slow, needs more than the driver's five seconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"

# What the browser itself says of answers that are errors and of connections that break: the page says it too.
_NETWORK = "Failed to load resource"

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


@dataclass(frozen=True)
class Held:
    """A request that is held back, once the page has made it."""

    page: Any
    routes: list[Any]

    def wait(self) -> Any:
        """The request, which can be let go by `continue_` or `abort`."""
        for _ in range(PATIENCE // 10):
            if self.routes:
                return self.routes[0]
            self.page.wait_for_timeout(10)
        raise AssertionError("The page has not asked.")

    def take(self, route: Any) -> None:
        """Hold a request that has come, if none is held yet."""
        # Not for one time: when the last route of a page goes, requests that are on their way may go with it.
        if self.routes:
            route.continue_()
        else:
            self.routes.append(route)


@dataclass(frozen=True)
class Window:
    """A page of the browser, of a desktop's or a phone's size, at the service's address."""

    page: Any
    url: str

    def open(self, view: str = "look") -> Any:
        """Show a view and wait until it can be used."""
        self.page.goto(f"{self.url}/#{view}")
        self.page.locator(f"html[data-ready={view}]").wait_for(state="attached")
        return self.page

    def record(self, event: str) -> list[Any]:
        """What the page tells of from now on: each `request`, each `response`."""
        seen: list[Any] = []
        # playwright marks its listeners, and builtin methods take no marks.
        self.page.on(event, lambda each: seen.append(each))  # noqa: PLW0108
        return seen

    def hold(self, address: str) -> "Held":
        """Hold the next request to such an address back."""
        held = Held(self.page, [])
        # playwright marks its handlers, and methods take no marks.
        self.page.route(address, lambda route: held.take(route))  # noqa: PLW0108
        return held

    def answer_once(self, address: str, **answer: Any) -> Held:
        """Have the next request to such an address answered like this, and hold the one that follows.

        What the page says of the answer stays until that one is let go.
        """
        held = Held(self.page, [])
        answers = [answer]
        self.page.route(address, lambda route: route.fulfill(**answers.pop()) if answers else held.take(route))
        return held

    def refuse_once(self, address: str, sentence: str = "Too many photos are waiting already; try again.") -> Held:
        """`answer_once` as a service does that is busy for a second."""
        refusal = {"error": sentence, "code": "queue_full"}
        return self.answer_once(address, status=429, headers={"Retry-After": "1"}, json=refusal)

    def drop(self, *paths: Path) -> None:
        """Drop files and folders of this machine on the page, as its file manager would."""
        session = self.page.context.new_cdp_session(self.page)
        dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": event, "x": 200, "y": 200, "data": dragged})
        session.detach()

    def violations(self) -> Sequence[str]:
        """What axe-core finds wrong with what is shown."""
        found = axe.Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]

    def press_until(self, key: str, selector: str, most: int = 40) -> None:
        """Press a key until the focus is on what `selector` names."""
        for _ in range(most):
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"{selector} is not reached by {key}")


def open_browser(browser_type: Any, *arguments: str, camera: bool = True) -> Any:
    """Chromium without a window, with a camera that shows a test picture, or none."""
    own = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] if camera else []
    # Its sandbox does not run as root.
    own += ["--no-sandbox"] if os.getuid() == 0 else []
    return browser_type.launch(executable_path=CHROMIUM, args=[*own, *arguments])


def new_window(browser: Any, url: str, size: str, **options: Any) -> Iterator[Window]:
    """A window until the test ends, which fails where the page's own scripts or its policy did."""
    width, height = SIZES[size]
    touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
    context = browser.new_context(viewport={"width": width, "height": height}, **touch, **options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    yield Window(page, url)
    context.close()
    assert [complaint for complaint in complaints if _NETWORK not in complaint] == [], complaints
