"""A worker refuses to start with a protocol that it does not speak."""

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]

from visage.server.service_worker import ServiceWorker


@pytest.mark.parametrize(
    ("setting", "value"), [("certfile", "cert.pem"), ("proxy_protocol", "v1"), ("protocol", "uwsgi")]
)
def test_other_protocols_are_for_a_proxy(setting: str, value: str) -> None:
    config = Config()
    config.set(setting, value)

    with pytest.raises(SystemExit, match="configure them in a proxy"):
        ServiceWorker.check_config(config, None)


def test_plain_http_is_accepted() -> None:
    ServiceWorker.check_config(Config(), None)
