"""The example of docs/deploy.md for nginx in front of a service below a path."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.integration.nginx.proxy import NGINX, listens, needs_nginx, port_of
from tests.support.paths import ROOT
from tests.support.service import Service, free_port
from tests.support.waiting import wait_for

pytestmark = needs_nginx

(LOCATION,) = re.findall(r"```nginx\n(location .*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx with the example, without a path."""
    folder, port = tmp_path_factory.mktemp("prefix"), free_port()
    location = LOCATION.replace("127.0.0.1:8080", f"127.0.0.1:{port_of(service)}")
    paths = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = f"server {{ listen 127.0.0.1:{port}; {location} }}"
    user = "user root; " if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off; pid {folder}/pid; error_log stderr; events {{}} "
        f"http {{ access_log off; {paths}{server} }}\n"
    )
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]) as process:
        try:
            assert wait_for(lambda: listens(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_the_page_of_the_api_has_the_host_and_the_path_that_clients_use(url: str) -> None:
    page = requests.get(f"{url}/visage/docs", timeout=60).text

    assert f"curl -F image=@photo.jpg &#39;{url}/visage/predict?" in page


def test_the_page_may_send_photos_without_https(url: str, tiny_png: bytes) -> None:
    found = requests.post(f"{url}/visage/predict", files={"image": tiny_png}, headers={"Origin": url}, timeout=60)

    assert found.status_code == 200


def test_the_scheme_is_passed_on() -> None:
    assert "proxy_set_header X-Forwarded-Proto $scheme;" in LOCATION
