"""Operators look up an event of the log in docs/operations.md, so every event has a row there."""

import re

import pytest

from tests.support.paths import ROOT

_LOGGED = re.compile(r'\blog(?:ger)?\.(?:debug|info|warning|error|exception)\(\s*"([a-z]+(?:_[a-z]+)*)"')
EVENTS = sorted(
    {event for path in (ROOT / "visage").rglob("*.py") for event in _LOGGED.findall(path.read_text(encoding="utf-8"))}
)
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_events_are_found_in_the_code() -> None:
    assert {"request", "no_token", "consumer_started"} <= set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_of_the_log_is_documented(event: str) -> None:
    assert re.search(rf"^\|[^|]*`{event}`[^|]*\|", PAGE, re.MULTILINE)
