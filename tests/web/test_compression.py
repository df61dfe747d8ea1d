"""The pages and their files are compressed; photos and answers about them are not."""

import gzip

import pytest
from flask.testing import FlaskClient

from visage.web import compression

GZIP = {"Accept-Encoding": "br, gzip;q=0.8"}


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/static/page.css", "/static/page.js", "/static/icon.svg"]
)
def test_a_page_and_its_text_files_are_compressed_for_those_who_accept_it(client: FlaskClient, path: str) -> None:
    with client.get(path) as plain, client.get(path, headers=GZIP) as packed:
        content = plain.data

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == content
    assert packed.content_length == len(packed.data)
    assert packed.content_type == plain.content_type
    assert "Accept-Encoding" in plain.vary
    assert "Accept-Encoding" in packed.vary


def test_a_client_that_refuses_gzip_gets_the_plain_page(client: FlaskClient) -> None:
    assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_a_picture_is_not_compressed_again(client: FlaskClient) -> None:
    with client.get("/static/astronaut.jpg", headers=GZIP) as response:
        assert "Content-Encoding" not in response.headers


def test_an_error_is_not_compressed(client: FlaskClient) -> None:
    assert "Content-Encoding" not in client.get("/static/nothing.js", headers=GZIP).headers


def test_a_file_that_did_not_change_is_not_sent_again(client: FlaskClient) -> None:
    with client.get("/static/page.css", headers=GZIP) as first:
        tag = first.headers["ETag"]
    with client.get("/static/page.css", headers={**GZIP, "If-None-Match": tag}) as second:
        status = second.status_code

    assert tag.startswith('W/"')
    assert status == 304


def test_a_part_of_a_file_is_not_compressed(client: FlaskClient) -> None:
    with client.get("/static/page.css", headers={**GZIP, "Range": "bytes=0-9"}) as response:
        assert response.status_code == 206
        assert len(response.data) == 10


def test_the_answer_about_a_photo_is_not_compressed(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/predict", data=tiny_png, headers=GZIP, query_string={"annotated": "false"})

    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers


def test_documentation_for_many_hosts_leaves_the_compressed_files_of_the_page_in_memory(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.get("/static/page.css", headers=GZIP) as response:
        style = response.data
    for port in range(8000, 8070):
        packed = client.get("/docs", headers={**GZIP, "Host": f"localhost:{port}"}).data
        assert f"localhost:{port}".encode() in gzip.decompress(packed)

    monkeypatch.setattr(compression, "gzip", None)
    with client.get("/static/page.css", headers=GZIP) as response:
        assert response.data == style
