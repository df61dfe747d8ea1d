"""A client that openapi-python-client generated calls a real service."""

import io
import time
import zipfile
from typing import Any

import pytest

from tests.support.tiny_pack import TINY_FACES


@pytest.fixture
def photo(python_client: Any, tiny_jpeg: bytes) -> Any:
    """The photo as a file of a generated form."""
    return python_client.types.File(io.BytesIO(tiny_jpeg), "photo.jpg", "image/jpeg")


def test_predict_returns_typed_faces(python_client: Any, photo: Any) -> None:
    form = python_client.models.PhotoForm(image=photo, detail=python_client.models.PhotoFormDetail.FAST)

    analysis = python_client.predict.sync(client=python_client.client, body=form)

    assert sorted(tuple(face.bbox) for face in analysis.faces) == sorted(TINY_FACES)
    assert {face.gender for face in analysis.faces} <= {"Male", "Female"}
    assert analysis.annotated_jpeg


def test_a_boolean_of_a_form_counts(python_client: Any, photo: Any) -> None:
    form = python_client.models.PhotoForm(image=photo, annotated=False)

    analysis = python_client.predict.sync(client=python_client.client, body=form)

    assert analysis.annotated_jpeg is python_client.types.UNSET


def test_raw_bytes_and_parameters_in_the_query_are_sent(python_client: Any, photo: Any) -> None:
    analysis = python_client.predict.sync(client=python_client.client, body=photo, annotated=False, max_faces=1)

    assert len(analysis.faces) == 1


def test_anonymize_returns_typed_json(python_client: Any, photo: Any) -> None:
    models = python_client.models
    form = models.AnonymizeForm(image=photo, format_=models.AnonymizeFormFormat.JSON, picture=False)

    anonymized = python_client.anonymize.sync(client=python_client.client, body=form)

    assert {face.kept for face in anonymized.faces} == {False}
    assert anonymized.image.width == 384


def test_enhance_returns_typed_json(python_client: Any, photo: Any) -> None:
    models = python_client.models
    form = models.EnhanceForm(image=photo, format_=models.EnhanceFormFormat.JSON, picture=False)

    enhanced = python_client.enhance.sync(client=python_client.client, body=form)

    assert (enhanced.image.width, enhanced.scale) == (1152, 3)


def test_an_error_is_typed_and_has_its_code(python_client: Any) -> None:
    empty = python_client.models.PhotoForm(image=python_client.types.File(io.BytesIO(b""), "photo.jpg"))

    error = python_client.predict.sync(client=python_client.client, body=empty)

    assert isinstance(error, python_client.models.Error)
    assert error.code == "empty_image"


def test_a_batch_is_submitted_watched_fetched_and_deleted(python_client: Any, photo: Any) -> None:
    client, models = python_client.client, python_client.models
    form = models.BatchForm(files=[photo], method=models.BatchFormMethod.SOLID)

    batch = python_client.submit_batch.sync(client=client, body=form)
    while batch.state.value in {"waiting", "running"}:
        time.sleep(0.2)
        batch = python_client.show_batch.sync(batch.id, client=client)
    archive = python_client.fetch_batch.sync(batch.id, client=client)
    deleted = python_client.delete_batch.sync_detailed(batch.id, client=client)

    assert [(file.name, file.state.value) for file in batch.files] == [("photo.jpg", "done")]
    assert zipfile.ZipFile(archive.payload).namelist() == ["photo.jpg"]
    assert deleted.status_code == 204
