"""`visage settings`: every setting with its value, without secrets."""

import pytest

from tests.cli.helpers import run
from visage.setting_values import REDIS_URL, TOKEN
from visage.settings import Settings, rows

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_every_setting_is_shown_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_QUEUE", "3")

    result = run("settings")

    assert [line.split("=")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        row.name for row in rows()
    ]
    assert "VISAGE_QUEUE=3\n" in result.stdout


def test_the_printed_values_can_be_set_again() -> None:
    printed = dict(line.split("=", 1) for line in run("settings").stdout.splitlines() if not line.startswith(" "))

    assert Settings.from_environment(printed) == Settings.from_environment()


def test_nothing_is_printed_for_a_setting_without_a_value() -> None:
    printed = run("settings").stdout.splitlines()

    assert {"VISAGE_TILE=", "VISAGE_MIRROR=", "VISAGE_CORS_ORIGINS=", "VISAGE_CACHE_URL="} <= set(printed)


@pytest.mark.parametrize("name", ["VISAGE_MIRROR", "VISAGE_BATCH_STORE"])
def test_an_address_is_printed_without_its_password(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "https://user:s3cret@packs.example/visage")

    result = run("settings")

    assert "s3cret" not in result.output
    assert f"{name}=https://packs.example/visage\n" in result.stdout


@pytest.mark.parametrize("name", [row.name for row in rows() if row.kind in (REDIS_URL, TOKEN)])
def test_an_invalid_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://:s3cret with spaces@cache")

    result = run("settings")

    assert result.exit_code == 2
    assert "s3cret" not in result.output
    assert f"{name} must be " in result.stderr


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
