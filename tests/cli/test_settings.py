"""`visage settings`: every setting with its value, without secrets."""

import pytest

from tests.cli.helpers import run
from visage.setting_values import REDIS_URL
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


@pytest.mark.parametrize("name", [row.name for row in rows() if row.kind is REDIS_URL])
def test_an_address_that_holds_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "redis://:s3cret@cache:6379/0")

    result = run("settings")

    assert "s3cret" not in result.output
    assert f"{name}=(set)" in result.stdout
