"""The kinds of values that settings may have: each parses text and describes what is valid."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Generic, TypeVar

from visage.addresses import without_mapping

T = TypeVar("T")

# An origin, with an optional port (RFC 6454, 6.2).
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]+)?")

# A part of a host name between dots (RFC 1123, 2.1, and the underscore that container names have).
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_MAX_HOST = 253

# A host name without a port.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)

# The longest time that a setting accepts.
_MAX_SECONDS = 3600


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of value. `parse` raises ValueError for invalid text; `description` completes "it must be".

    Messages do not show the values of a `secret` kind.
    """

    parse: Callable[[str], T]
    description: str
    secret: bool = False


def optional(kind: Kind[T]) -> Kind[T | None]:
    """The same values, for a setting whose default is None: Visage then chooses."""
    return Kind(kind.parse, kind.description, kind.secret)


def integer(minimum: int, maximum: int) -> Kind[int]:
    def parse(text: str) -> int:
        value = int(text)
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    return Kind(parse, f"a whole number from {minimum} to {maximum}")


def seconds(minimum: float) -> Kind[float]:
    def parse(text: str) -> float:
        value = float(text)
        if not minimum <= value <= _MAX_SECONDS:
            raise ValueError
        return value

    return Kind(parse, f"a number of seconds from {minimum:g} to {_MAX_SECONDS}")


def _parse_origins(text: str) -> tuple[str, ...]:
    origins = tuple(name.strip() for name in text.split(",") if name.strip())
    if origins != ("*",) and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError
    return origins


def _parse_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if hosts != ("*",) and not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError
    return hosts


def _parse_token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError
    return text


def _parse_log_level(text: str) -> str:
    if text.lower() not in {"debug", "info", "warning", "error"}:
        raise ValueError
    return text.lower()


def _parse_boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


def _parse_host(text: str) -> str:
    """Return an IP address, IPv6 without its brackets, or a name in lower case."""
    in_brackets = text.startswith("[") and text.endswith("]")
    if in_brackets or ":" in text:
        # gunicorn does not know scopes, as in fe80::1%eth0.
        if "%" in text:
            raise ValueError
        return str(IPv6Address(text[1:-1] if in_brackets else text))
    labels = text.split(".")
    if len(text) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError
    # No name ends in a number, so that nobody takes it for an address.
    return str(IPv4Address(text)) if labels[-1].isdecimal() else text.lower()


def _parse_metrics_address(text: str) -> str:
    if text in {"open", "closed"}:
        return text
    host, _, port = text.rpartition(":")
    if ":" in host and not host.startswith("["):
        raise ValueError
    return host_and_port(_parse_host(host), _PORT.parse(port))


def _parse_redis_url(text: str) -> str:
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError
    return text


def host_and_port(host: str, port: int) -> str:
    """Return an address as in a URL: an IPv6 address has brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a host to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return without_mapping(ip_address(host.strip("[]"))).is_loopback
    except ValueError:
        return False


_PORT = integer(1, 65535)

ANY_TEXT = Kind(str, "text")
PATH = Kind(Path, "a path")
TOKEN = Kind(_parse_token, "ASCII letters, digits and signs without spaces", secret=True)
BOOLEAN = Kind(_parse_boolean, "true or false")
LOG_LEVEL = Kind(_parse_log_level, "debug, info, warning or error")
METRICS_ADDRESS = Kind(_parse_metrics_address, "open, closed or an address and port such as 127.0.0.1:9090")
# Its query may contain the password.
REDIS_URL = Kind(_parse_redis_url, "a URL that begins with redis://, rediss:// or unix://", secret=True)
HOST = Kind(_parse_host, "an IP address such as 127.0.0.1 or ::1, or a host name, without a port")
ORIGINS = Kind(
    _parse_origins,
    "`*`, or origins such as https://app.example.com separated by commas, without further wildcards",
)
HOSTS = Kind(
    _parse_hosts, "`*`, or host names such as photos.example.com separated by commas, without ports or wildcards"
)
