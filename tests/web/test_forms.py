"""Forms: uploads stay in memory, and every file is found."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from visage.web.form_parser import CHUNK


def test_an_upload_is_never_written_to_a_file(
    client: FlaskClient, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: Any, **__: Any) -> None:
        raise AssertionError("a temporary file was created")

    monkeypatch.setattr("tempfile.TemporaryFile", forbid)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", forbid)

    # Larger than the 500 kB that werkzeug keeps in memory by default.
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = part + tiny_png + bytes(900_000) + b"\r\n--b--\r\n"
    response = client.post("/predict", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 200


@pytest.mark.parametrize("after", [0, 1, CHUNK, 3 * CHUNK])
def test_bytes_after_the_last_boundary_of_a_form_are_ignored(client: FlaskClient, tiny_png: bytes, after: int) -> None:
    head = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = head + tiny_png + b"\r\n--edge--\r\n" + bytes(after)

    response = client.post("/predict", data=body, content_type="multipart/form-data; boundary=edge")

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("file_name", ['filename="a.png"', "filename*=UTF-8''%C3%A9.png", 'filename=""'])
def test_every_spelling_of_a_file_name_marks_a_file(client: FlaskClient, tiny_png: bytes, file_name: str) -> None:
    head = f'--edge\r\nContent-Disposition: form-data; name="image"; {file_name}\r\n\r\n'.encode()

    response = client.post(
        "/predict", data=head + tiny_png + b"\r\n--edge--\r\n", content_type="multipart/form-data; boundary=edge"
    )

    assert response.status_code == 200, response.text
