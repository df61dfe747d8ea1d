"""`visage settings`: every setting with its value, without secrets."""

import pytest

from tests.cli.helpers import run
from visage.settings import rows

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_every_setting_is_shown_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_QUEUE", "3")

    result = run("settings")

    assert [line.split("=")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        row.name for row in rows()
    ]
    assert "VISAGE_QUEUE=3\n" in result.stdout


def test_the_api_token_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_API_TOKEN", "s3cret")

    result = run("settings")

    assert "s3cret" not in result.output
    assert "VISAGE_API_TOKEN=(set)" in result.stdout
