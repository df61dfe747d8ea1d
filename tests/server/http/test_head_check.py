"""The check of a head does not rely on what llhttp, which reads it first, happens to reject."""

import pytest

from visage.errors import RequestError
from visage.server.http.head_check import check_head
from visage.server.http.request import RequestHead

CODINGS = {
    "chunked": ["chunked"],
    "capitals": ["Chunked"],
}
INVALID_CODINGS = {
    "nothing": [""],
    "nothing, then chunked": ["", "chunked"],
    "chunked, then nothing": ["chunked", ""],
    "chunked, then gzip": ["chunked", "gzip"],
    "gzip, then chunked": ["gzip", "chunked"],
    "chunked twice": ["chunked", "chunked"],
    "a list": ["gzip, chunked"],
}


def head(codings: list[str], version: str = "1.1") -> RequestHead:
    headers = [("host", "here"), *(("transfer-encoding", coding) for coding in codings)]
    return RequestHead("POST", b"/", version, tuple(headers))


@pytest.mark.parametrize("name", CODINGS)
def test_a_body_may_be_chunked(name: str) -> None:
    check_head(head(CODINGS[name]))


@pytest.mark.parametrize("name", INVALID_CODINGS)
def test_every_transfer_encoding_counts(name: str) -> None:
    with pytest.raises(RequestError):
        check_head(head(INVALID_CODINGS[name]))


def test_http_1_0_knows_no_chunks() -> None:
    with pytest.raises(RequestError):
        check_head(head(["chunked"], "1.0"))
