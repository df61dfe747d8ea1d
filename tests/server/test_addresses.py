"""An address on which the service cannot listen is reported with its variable, before gunicorn tries."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.service import free_port
from visage.errors import SettingsError
from visage.server.addresses import check_addresses
from visage.settings import Settings

# Reserved for documentation (RFC 5737, RFC 3849), so no machine has them.
NOBODYS, NOBODYS_6 = "192.0.2.1", "2001:db8::1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A loopback port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def problem(**settings: object) -> str:
    with pytest.raises(SettingsError) as caught:
        check_addresses(Settings(**({"port": free_port()} | settings)))  # type: ignore[arg-type]
    return str(caught.value)


def test_free_addresses_are_fine() -> None:
    check_addresses(Settings(port=free_port(), metrics=f"127.0.0.1:{free_port()}"))


def test_a_port_in_use_is_named(taken: int) -> None:
    assert problem(port=taken) == (
        f"PORT is '{taken}', and another program listens there; stop it, or choose another port."
    )


@pytest.mark.parametrize("host", [NOBODYS, NOBODYS_6])
def test_an_address_of_another_machine_is_named(host: str) -> None:
    assert problem(host=host) == (
        f"VISAGE_HOST is '{host}', which is no address of this machine; use one, or 0.0.0.0 for all."
    )


def test_a_name_without_an_address_is_named() -> None:
    # RFC 6761, 6.4: no resolver knows it.
    assert problem(host="photos.invalid") == (
        "VISAGE_HOST is 'photos.invalid', a name that has no IPv4 address; use an address of this machine."
    )


def test_the_address_for_metrics_is_checked_as_well(taken: int) -> None:
    assert problem(metrics=f"127.0.0.1:{taken}").startswith(
        f"VISAGE_METRICS is '127.0.0.1:{taken}', and another program "
    )
    assert problem(metrics=f"{NOBODYS}:9090").startswith(f"VISAGE_METRICS is '{NOBODYS}:9090', which is no address of ")
