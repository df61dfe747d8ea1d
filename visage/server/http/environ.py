"""The WSGI environment of a request (PEP 3333)."""

import ipaddress
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from visage.addresses import without_mapping
from visage.errors import RequestError
from visage.server.http.request import Request, RequestHead

# Plain segments: nothing that a page or a Location header would take for a host or for markup.
_PREFIX = re.compile(r"(/[\w.~-]+)*/?", re.ASCII)


class Environs:
    """Creates environments.

    A trusted proxy may tell in its headers whether the client uses HTTPS, and below which path it serves Visage.
    """

    def __init__(self, trusted: Iterable[str], secure_headers: Mapping[str, str]) -> None:
        """Prepare for requests.

        Args:
            trusted: Addresses and networks of proxies; `"*"` stands for all (gunicorn's `forwarded_allow_ips`).
            secure_headers: Names of headers, and their values for HTTPS (gunicorn's `secure_scheme_headers`).
        """
        names = list(trusted)
        self._trusts_all = "*" in names
        self._networks = [ipaddress.ip_network(name) for name in names if name != "*"]
        self._secure_headers = {name.lower(): value for name, value in secure_headers.items()}

    def make(self, request: Request, client: Any, server: Any, connection: object) -> dict[str, Any]:
        """Return the environment of a request.

        Args:
            request: The request.
            client: The client's address, as `accept` returns it.
            server: The address of the listener.
            connection: Stored as `visage.client`; its attribute `disconnected` tells whether the client has left.

        Raises:
            RequestError: a proxy's headers contradict each other.
        """
        head = request.head
        path, query = head.path_and_query
        host, port = server[:2] if isinstance(server, tuple) else (head.header("host") or "localhost", "")
        environ = {
            "REQUEST_METHOD": head.method,
            "SCRIPT_NAME": self._prefix(head, client),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": f"HTTP/{head.version}",
            "SERVER_SOFTWARE": "visage",
            "REMOTE_ADDR": client[0] if isinstance(client, tuple) else "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self._scheme(head, client),
            "wsgi.input": request.body.open(),
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "visage.client": connection,
        }
        environ.update(_header_variables(head))
        return environ

    def _scheme(self, head: RequestHead, client: Any) -> str:
        found = {value == self._secure_headers[name] for name, value in head.headers if name in self._secure_headers}
        if not found or not self._trusts(client):
            return "http"
        if len(found) > 1:
            raise RequestError("The headers of the proxy contradict each other about HTTPS; send one of them.")
        return "https" if found.pop() else "http"

    def _prefix(self, head: RequestHead, client: Any) -> str:
        """The path that the proxy removed, from `X-Forwarded-Prefix`: the last one, as werkzeug's ProxyFix reads it."""
        if not head.header("x-forwarded-prefix") or not self._trusts(client):
            return ""
        *_, last = (value for name, value in head.headers if name == "x-forwarded-prefix")
        prefix = last.rpartition(",")[2].strip()
        if not _PREFIX.fullmatch(prefix):
            raise RequestError("The header X-Forwarded-Prefix of the proxy is no path; send one such as /visage.")
        return prefix.rstrip("/")

    def _trusts(self, client: Any) -> bool:
        if self._trusts_all or not isinstance(client, tuple) or not client[0]:
            return True
        address = ipaddress.ip_address(client[0])
        # The operator may name a proxy in either form.
        forms = {address, without_mapping(address)}
        return any(form in network for form in forms for network in self._networks)


def _header_variables(head: RequestHead) -> dict[str, str]:
    """The headers as variables. Names with an underscore are dropped: they would pass for those with a dash."""
    variables: dict[str, str] = {}
    for name, value in head.headers:
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        variables[key] = f"{variables[key]},{value}" if key in variables else value
    return variables
