"""A window of a real browser. Whoever imports this is skipped where there is none, or nothing that drives it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.service import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

if CHROMIUM is None:
    pytest.skip("needs a browser: there is no chromium on the path", allow_module_level=True)

_REASON = "needs what `make test-browser` installs"
sync_api: Any = pytest.importorskip("playwright.sync_api", reason=_REASON)
axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason=_REASON)
expect = sync_api.expect

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"

# What the browser itself says of answers that are errors and of connections that break: the page says it too.
_NETWORK = "Failed to load resource"

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


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
    arguments += ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") if camera else ()
    # Its sandbox does not run as root.
    arguments += ("--no-sandbox",) if os.getuid() == 0 else ()
    return browser_type.launch(executable_path=CHROMIUM, args=list(arguments))


def new_window(browser: Any, url: str, size: str, **options: Any) -> Iterator[Window]:
    """A window until the test ends, which fails where the page's own scripts or its policy did."""
    width, height = SIZES[size]
    touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
    context = browser.new_context(viewport={"width": width, "height": height}, **touch, **options)
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    yield Window(page, url)
    context.close()
    assert [complaint for complaint in complaints if _NETWORK not in complaint] == []
