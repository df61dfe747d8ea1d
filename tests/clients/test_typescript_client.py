"""A client with types that openapi-typescript generated is compiled with `--strict`, and calls a real service."""

from typing import Any

from tests.support.tiny_pack import TINY_FACES


def test_predict_returns_typed_faces_and_takes_booleans(typescript_output: dict[str, Any]) -> None:
    left_edges = [face[0] for face in typescript_output["predicted"]]

    assert sorted(left_edges) == sorted(face[0] for face in TINY_FACES)
    assert typescript_output["annotated"] is None


def test_anonymize_returns_the_picture(typescript_output: dict[str, Any]) -> None:
    assert typescript_output["anonymized"].startswith("\xff\xd8")


def test_enhance_returns_typed_json(typescript_output: dict[str, Any]) -> None:
    assert typescript_output["enhanced"] == [1152, 3]


def test_an_error_is_typed_and_has_its_code(typescript_output: dict[str, Any]) -> None:
    assert typescript_output["refused"] == "empty_image"


def test_a_batch_is_submitted_watched_fetched_and_deleted(typescript_output: dict[str, Any]) -> None:
    assert typescript_output["files"] == [["done", 3]]
    assert typescript_output["result"] > 0
    assert typescript_output["deleted"] == 204
