"""What the variables of settings may hold: each function reads one kind of value from its text.

Its docstring ends the sentence "it must be ..."; ValueError says that it is not.
"""

import re
from collections.abc import Callable

# RFC 6454, 6.2; a port may follow the host.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.-]+(:[0-9]+)?")


def integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError
        return value

    parse.__doc__ = f"a whole number from {least} to {most}"
    return parse


def seconds(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= 3600:
            raise ValueError
        return value

    parse.__doc__ = f"a number of seconds from {least:g} to 3600"
    return parse


def origins(text: str) -> tuple[str, ...]:
    """`*`, or origins such as https://app.example.com separated by commas, without further wildcards"""
    origins = tuple(name.strip() for name in text.split(",") if name.strip())
    if origins != ("*",) and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError
    return origins


def token(text: str) -> str:
    """ASCII letters, digits and signs without spaces"""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError
    return text


def any_text(text: str) -> str:
    """text"""
    return text


def log_level(text: str) -> str:
    """debug, info, warning or error"""
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError
    return text.lower()


def truth(text: str) -> bool:
    """true or false"""
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


def metrics_place(text: str) -> str:
    """open, closed or an address and port such as 127.0.0.1:9090"""
    if text in {"open", "closed"}:
        return text
    host, _, port = text.rpartition(":")
    if not host or not 1 <= int(port) <= 65535:
        raise ValueError
    return text


def redis_url(text: str) -> str:
    """a URL that begins with redis://, rediss:// or unix://"""
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError
    return text
