"""The OpenAPI document, put together by apispec."""

from itertools import chain
from typing import Any

from apispec import APISpec

from visage import __version__
from visage.anonymize.results import AnonymizedJson
from visage.enhance.results import EnhancedJson
from visage.faces.results import AnalysisJson
from visage.web.batch_json import BatchFileJson, BatchJson, BatchStatusJson, BatchStorageJson, DeletedBatchJson
from visage.web.enhancement_events import EnhanceProgressJson
from visage.web.error_handlers import ErrorJson
from visage.web.openapi.batch_operations import BATCH_OPERATIONS
from visage.web.openapi.media import REQUEST_ID, batch_form, photo_form, photo_json, query_parameter
from visage.web.openapi.operation import Body, Operation, Success
from visage.web.openapi.other_operations import OTHER_OPERATIONS
from visage.web.openapi.photo_operations import PHOTO_OPERATIONS
from visage.web.openapi.samples import BATCH_ID
from visage.web.openapi.schemas import response_schemas
from visage.web.parameters import table
from visage.web.routes.operations import HealthJson, ReadinessJson

Described = dict[str, Any]

OPERATIONS = (*PHOTO_OPERATIONS, *BATCH_OPERATIONS, *OTHER_OPERATIONS)

_INFO: Described = {
    "summary": "Face attributes from a photo.",
    "description": "Post a photo; get the position, gender and age group of each face, and the annotated picture.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

_RESPONSES = (
    AnalysisJson,
    AnonymizedJson,
    EnhancedJson,
    EnhanceProgressJson,
    BatchJson,
    BatchFileJson,
    BatchStatusJson,
    DeletedBatchJson,
    BatchStorageJson,
    ErrorJson,
    HealthJson,
    ReadinessJson,
)

_REQUEST_ID = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}

# Parameters of requests that are not in the query: the name, where it is, and its description.
_OTHER_PARAMETERS: dict[str, tuple[str, str, Described]] = {
    "RequestId": (
        "X-Request-ID",
        "header",
        {
            "description": "The client's own ID for this request, repeated in the response and the log; an invalid one "
            "is replaced.",
            "schema": _REQUEST_ID,
            "example": "order-17.a",
        },
    ),
    "LastEventId": (
        "Last-Event-ID",
        "header",
        {
            "description": "ID of the last event received; browsers send it when they reconnect.",
            "schema": {"type": "string", "examples": ["end"]},
        },
    ),
    "batch_id": (
        "batch_id",
        "path",
        {
            "description": "ID of the batch. Anyone with the ID can access the batch; IDs cannot be guessed.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{24}$"},
            "example": BATCH_ID,
        },
    ),
    "number": (
        "number",
        "path",
        {
            "description": "Number of a file in the list of the batch, from 1.",
            "schema": {"type": "integer", "minimum": 1},
            "example": 1,
        },
    ),
}


def document() -> Described:
    """Return the document as JSON types. It has only what the tables hold, so it is the same in every process."""
    spec = APISpec(
        title="Visage",
        version=__version__,
        openapi_version="3.1.0",
        info=_INFO,
        jsonSchemaDialect="https://json-schema.org/draft/2020-12/schema",
        servers=[{"url": "/"}],
    )
    _add_components(spec)
    for path in dict.fromkeys(operation.path for operation in OPERATIONS):
        rows = [operation for operation in OPERATIONS if operation.path == path]
        spec.path(path, operations={row.method: _operation(row) for row in rows})
    content = spec.to_dict()
    first = ("openapi", "jsonSchemaDialect", "info", "servers", "paths", "components")
    return {key: content[key] for key in first}


def _add_components(spec: APISpec) -> None:
    spec.components.security_scheme(
        "token",
        {
            "type": "http",
            "scheme": "bearer",
            "description": "Required only if the operator has set VISAGE_API_TOKEN.",
        },
    )
    spec.components.header(
        "RequestId",
        {"description": "The client's own ID if it is valid, else a new one; also in the log.", "schema": _REQUEST_ID},
    )
    for key, (name, place, described) in _OTHER_PARAMETERS.items():
        spec.components.parameter(key, place, {"name": name, **described})
    in_forms = {parameter for operation in OPERATIONS if operation.body for parameter in operation.parameters}
    for parameter in dict.fromkeys(chain.from_iterable(operation.parameters for operation in OPERATIONS)):
        described = query_parameter(parameter, also_in_form=parameter in in_forms)
        spec.components.parameter(parameter.component, "query", described)
    for error in dict.fromkeys(chain.from_iterable(operation.errors for operation in OPERATIONS)):
        spec.components.response(error.name, error.described())
    for name, schema in _schemas().items():
        spec.components.schema(name, schema)


def _schemas() -> dict[str, Described]:
    return {
        "PhotoForm": photo_form("photo", table.ANALYSIS),
        "PhotoJson": photo_json("photo", table.ANALYSIS),
        "AnonymizeForm": photo_form("photo", table.ANONYMIZATION),
        "AnonymizeJson": photo_json("photo", table.ANONYMIZATION),
        "CorrectionForm": photo_form("photo", table.CORRECTION),
        "CorrectionJson": photo_json("photo", table.CORRECTION),
        "EnhanceForm": photo_form("picture", table.ENHANCEMENT),
        "EnhanceJson": photo_json("picture", table.ENHANCEMENT),
        "BatchForm": batch_form(table.BATCH),
        **response_schemas(*_RESPONSES),
        "EnhanceEvent": {
            "description": "The data of an event: the progress, and at the end the result or what is wrong.",
            "anyOf": [
                {"$ref": "#/components/schemas/EnhanceProgress"},
                {"$ref": "#/components/schemas/Enhanced"},
                {"$ref": "#/components/schemas/Error"},
            ],
        },
        "BatchEvent": {
            "description": "The data of an event: the progress of the batch, or that it was deleted.",
            "anyOf": [
                {"$ref": "#/components/schemas/Batch"},
                {"$ref": "#/components/schemas/DeletedBatch"},
            ],
        },
    }


def _operation(row: Operation) -> Described:
    described: Described = {"summary": row.summary, "operationId": row.name}
    if row.description:
        described["description"] = row.description
    parameters = [*row.in_path, *(each.component for each in row.parameters), *row.headers]
    if row.needs_token:
        described["parameters"] = [*parameters, "RequestId"]
        described["security"] = [{}, {"token": []}]
    if row.body:
        described["requestBody"] = _body(row.body)
    responses = {str(each.status): _success(each) for each in row.successes} | {
        error.status: error.name for error in row.errors
    }
    described["responses"] = dict(sorted(responses.items()))
    return described


def _body(body: Body) -> Described:
    return {"required": True, "description": body.description, "content": dict(body.content)}


def _success(success: Success) -> Described:
    described = {"description": success.description, "headers": {**REQUEST_ID, **success.headers}}
    return described | ({"content": dict(success.content)} if success.content else {})
