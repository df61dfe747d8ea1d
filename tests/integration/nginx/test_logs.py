"""The log of nginx can be matched with that of Visage, and has no data of clients."""

import pytest
import requests

from tests.integration.nginx.connections import log_lines
from tests.integration.nginx.proxy import needs_nginx
from tests.support.batch_client import submit
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = needs_nginx


@pytest.mark.parametrize("sent", ["caller-1", "not valid", None])
def test_the_response_and_both_logs_have_the_same_request_id(
    service: Service, nginx: Service, sent: str | None
) -> None:
    headers = {"X-Request-ID": sent} if sent else {}

    returned = requests.post(nginx.url + "/predict", data=b"x", headers=headers, timeout=60).headers["X-Request-ID"]

    assert (returned == sent) == (sent == "caller-1")
    assert wait_for(lambda: returned in [line["request_id"] for line in log_lines(nginx)])
    assert wait_for(lambda: f'"request_id":"{returned}"' in service.log.read_text())


def test_the_log_has_no_batch_ids_and_no_text_from_clients(nginx: Service, tiny_png: bytes) -> None:
    batch_id = submit(nginx, ("grandmother.png", tiny_png))
    for path in (f"/batches/{batch_id}", f"/batches/{batch_id}/events", "/of/callers?secret=kept"):
        requests.get(nginx.url + path, headers={"User-Agent": "caller", "Referer": path}, timeout=60)

    # nginx logs after the response.
    routes = {"/batches/<batch_id>", "/batches/<batch_id>/events", "unknown"}
    assert wait_for(lambda: routes <= {line["route"] for line in log_lines(nginx)})
    text = nginx.log.read_text() + (nginx.log.parent / "errors").read_text()
    assert not [word for word in (batch_id, "grandmother", "callers", "secret", "127.0.0.1") if word in text]
