"""Whether the service can listen on its addresses."""

import errno
import socket

from visage.errors import SettingsError
from visage.settings import Settings


def check_addresses(settings: Settings) -> None:
    """Listen for a moment on the address of the service, and on that of `/metrics` if it has its own.

    Raises:
        SettingsError: an address cannot be used. The message names the variable, the reason and what to do.
    """
    _check(settings.host, settings.port, f"VISAGE_HOST is {settings.host!r}", f"PORT is '{settings.port}'")
    if settings.metrics not in {"open", "closed"}:
        host, _, port = settings.metrics.rpartition(":")
        _check(host.strip("[]"), int(port), *2 * [f"VISAGE_METRICS is {settings.metrics!r}"])


def _check(host: str, port: int, host_setting: str, port_setting: str) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As gunicorn does: connections of an earlier process that are closed already do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except socket.gaierror:
        raise SettingsError(
            f"{host_setting}, a name that has no IPv4 address; use an address of this machine."
        ) from None
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                reason = f"{port_setting}, and another program listens there; stop it, or choose another port."
            case errno.EACCES:
                reason = f"{port_setting}, which this user may not listen on; choose a port from 1024 on."
            case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
                reason = f"{host_setting}, which is no address of this machine; use one, or 0.0.0.0 for all."
            case _:
                reason = f"{host_setting}, on which the service cannot listen ({error.strerror}); use another address."
        raise SettingsError(reason) from None
