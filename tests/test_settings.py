"""Settings are read from the environment, validated, and documented in docs/settings.md."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT
from visage.errors import SettingsError
from visage.setting_rows import Row
from visage.settings import Settings, rows


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert (settings.slots, settings.queue, settings.wait_seconds) == (1, 8, 5.0)
    assert (settings.max_body_bytes, settings.body_seconds) == (50 * 2**20, 10.0)
    assert (settings.max_image_pixels, settings.max_anonymize_pixels) == (200_000_000, 50_000_000)


def test_every_kind_of_value_is_parsed() -> None:
    settings = Settings.from_environment(
        {
            "VISAGE_PACK": "classic",
            "VISAGE_MODELS_DIR": "/srv/models",
            "VISAGE_QUEUE": "0",
            "VISAGE_WAIT_SECONDS": "0.5",
            "VISAGE_CORS_ORIGINS": "https://a.example, https://b.example",
            "WEB_CONCURRENCY": "3",
            "VISAGE_LOG_LEVEL": "DEBUG",
        }
    )

    assert (settings.pack, settings.models_dir) == ("classic", Path("/srv/models"))
    assert (settings.queue, settings.wait_seconds, settings.workers) == (0, 0.5, 3)
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.log_level == "debug"


def test_tile_and_overlap_have_no_value_unless_they_are_set() -> None:
    unset = Settings.from_environment({})
    given = Settings.from_environment({"VISAGE_TILE": "200", "VISAGE_OVERLAP": "0", "VISAGE_SUPERRES_PACK": "edsr"})

    assert (unset.enhance_pack, unset.tile, unset.overlap) == ("compact", None, None)
    assert (given.enhance_pack, given.tile, given.overlap) == ("edsr", 200, 0)


def test_the_largest_enhanced_image_has_at_most_fifty_million_pixels() -> None:
    assert 45_000_000 < 9 * Settings().max_enhance_pixels < 50_000_000


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environment({"PORT": " "}).port == 8080


@pytest.mark.parametrize(
    ("variable", "value", "valid"),
    [
        ("VISAGE_SLOTS", "0", "a whole number from 1 to 64"),
        ("VISAGE_QUEUE", "many", "a whole number from 0 to 1000"),
        ("VISAGE_WAIT_SECONDS", "-1", "a number of seconds from 0 to 3600"),
        ("VISAGE_WAIT_SECONDS", "nan", "a number of seconds from 0 to 3600"),
        ("VISAGE_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("VISAGE_BODY_SECONDS", "0", "a number of seconds from 0.1 to 3600"),
        ("PORT", "http", "a whole number from 1 to 65535"),
    ],
)
def test_an_invalid_value_is_reported_with_what_is_valid(variable: str, value: str, valid: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: value})

    assert str(caught.value) == f"{variable} is {value!r}; it must be {valid}."


def test_the_memory_for_bodies_must_hold_two_of_the_largest_and_headers() -> None:
    limits = {"VISAGE_MAX_BODY_BYTES": "5000", "VISAGE_BODY_MEMORY_BYTES": str(10_000 + 65_536)}

    assert Settings.from_environment(limits).max_body_memory == 75_536
    with pytest.raises(SettingsError, match="it must be at least 75538: twice VISAGE_MAX_BODY_BYTES, and 64 KiB"):
        Settings.from_environment(limits | {"VISAGE_MAX_BODY_BYTES": "5001"})


def test_the_memory_for_bodies_follows_their_size() -> None:
    assert Settings.from_environment({"VISAGE_MAX_BODY_BYTES": "5000"}).max_body_memory == 20_000 + 65_536


@pytest.mark.parametrize("metrics", ["127.0.0.2:8305", "127.0.0.1:8305", "[::1]:8305", "127.0.0.2:08305"])
def test_metrics_at_another_address_with_the_port_of_the_service_are_rejected(metrics: str) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_METRICS is '.*'; its port must differ from that of PORT"):
        Settings.from_environment({"VISAGE_HOST": "127.0.0.1", "PORT": "8305", "VISAGE_METRICS": metrics})


@pytest.mark.parametrize(
    "host",
    ["a b", "999.1.1.1", "127.1", "8899", "127.0.0.1:8899", "http://a", "[::1", "[127.0.0.1]", "fe80::1%lo", "a..b"],
)
def test_a_host_that_is_no_address_and_no_name_is_rejected(host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"VISAGE_HOST": host})

    assert str(caught.value) == (
        f"VISAGE_HOST is {host!r}; it must be an IP address such as 127.0.0.1 or ::1, or a host name, without a port."
    )


@pytest.mark.parametrize("metrics", ["999.9.9.9:9090", "a b:9090", "::1:9090", ":9090", "127.0.0.1", "127.0.0.1:0"])
def test_an_address_for_metrics_that_is_none_is_rejected(metrics: str) -> None:
    with pytest.raises(SettingsError, match="must be open, closed or an address and port such as"):
        Settings.from_environment({"VISAGE_METRICS": metrics})


@pytest.mark.parametrize(
    ("host", "bind"),
    [
        ("127.0.0.1", "127.0.0.1:8305"),
        ("::1", "[::1]:8305"),
        ("[::1]", "[::1]:8305"),
        ("::", "[::]:8305"),
        ("Photos_1.example", "photos_1.example:8305"),
    ],
)
def test_an_address_or_a_name_to_listen_on_gets_the_port(host: str, bind: str) -> None:
    settings = Settings.from_environment({"VISAGE_HOST": host, "PORT": "8305", "VISAGE_METRICS": "[::1]:9090"})

    assert settings.binds == [bind, "[::1]:9090"]


@pytest.mark.parametrize(
    "origins", ["https://*.example.com", "*, https://a.example", "example.com", "https://a.example/path", "https://a.*"]
)
def test_invalid_origins_are_rejected(origins: str) -> None:
    with pytest.raises(SettingsError, match="without further wildcards"):
        Settings.from_environment({"VISAGE_CORS_ORIGINS": origins})


@pytest.mark.parametrize("origins", ["*", "http://localhost:3000", "https://a.example,https://b.example:8443"])
def test_valid_origins_are_accepted(origins: str) -> None:
    assert Settings.from_environment({"VISAGE_CORS_ORIGINS": origins}).cors_origins == tuple(origins.split(","))


@pytest.mark.parametrize("hosts", ["*, photos.example", "*.example", "photos.example:8080", "https://photos.example"])
def test_invalid_hosts_are_rejected(hosts: str) -> None:
    with pytest.raises(SettingsError, match="without ports or wildcards"):
        Settings.from_environment({"VISAGE_ALLOWED_HOSTS": hosts})


@pytest.mark.parametrize("hosts", ["*", "localhost", "photos.example,visage.default.svc"])
def test_valid_hosts_are_accepted(hosts: str) -> None:
    assert Settings.from_environment({"VISAGE_ALLOWED_HOSTS": hosts}).allowed_hosts == tuple(hosts.split(","))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", True),
        ("localhost", True),
        ("127.0.0.2", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("[::ffff:192.0.2.1]", False),
        ("::1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("photos.example", False),
    ],
)
def test_loopback_addresses_are_recognized(host: str, expected: bool) -> None:
    assert Settings.from_environment({"VISAGE_HOST": host}).listens_on_loopback is expected


def test_the_docs_list_exactly_the_existing_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()

    listed = [line for line in page.splitlines() if line.startswith(("| `VISAGE_", "| `WEB_CONCURRENCY", "| `PORT"))]

    assert listed == [_line(row) for row in rows()]


def _line(row: Row) -> str:
    return f"| `{row.name}` | {row.default} | {row.help} |"
