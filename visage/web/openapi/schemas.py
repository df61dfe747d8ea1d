"""JSON Schema of responses, from their classes."""

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Schema = dict[str, Any]

_CONFIG = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class _ResponseSchemas(GenerateJsonSchema):
    """Schemas without titles. A field that may be None is left out of the JSON, so the schema does not allow null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("Json")


def response_schemas(*classes: type) -> Mapping[str, Schema]:
    """Return the schemas of dataclasses, and of those in them, by their names in the document."""
    fields: dict[str, Any] = {each.__name__: (each, ...) for each in classes}
    model = create_model("Responses", __config__=_CONFIG, **fields)
    content = model.model_json_schema(
        ref_template="#/components/schemas/{model}", schema_generator=_ResponseSchemas, mode="validation"
    )
    schemas: dict[str, Schema] = content["$defs"]
    for each in classes:
        # pydantic reads the strings below the fields of the class itself only.
        for base in set(each.__bases__) & set(classes):
            schemas[_name(each)]["properties"] |= schemas[_name(base)]["properties"]
    return {name: _tidy(schema) for name, schema in schemas.items()}


def _name(response: type) -> str:
    return response.__name__.removesuffix("Json")


def _tidy(schema: Any) -> Any:
    """Drop titles, and the line breaks of descriptions."""
    if isinstance(schema, dict):
        tidy = {key: _tidy(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
        if isinstance(tidy.get("description"), str):
            tidy["description"] = " ".join(tidy["description"].split())
        return tidy
    return [_tidy(each) for each in schema] if isinstance(schema, list) else schema
