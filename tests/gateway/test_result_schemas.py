"""Which result schemas are taken from outside."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import InvalidRequestError
from flue_actors.gateway.result_schemas import check_result_schema

NESTED: dict[str, Any] = {"type": "integer"}
for _ in range(40):
    NESTED = {"not": NESTED}

LAUGHS = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(20)}

TAKEN: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"pattern": {"type": "string"}, "$ref": {"type": "integer"}}},
    {"enum": [{"pattern": "data, no keyword"}, "$ref"]},
    {"$defs": {"a/b": {"type": "string"}}, "items": {"$ref": "#/$defs/a~1b"}},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "anyOf": [{"type": "string"}, {"type": "null"}]},
    {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "items": {"$ref": "#/definitions/a"}},
    {"type": "object", "additionalProperties": False},
]  # fmt: skip

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "text"}, "no JSON schema"),
    ({"properties": []}, "no JSON schema"),
    ({"pattern": "x"}, "pattern"),
    ({"properties": {"a": {"items": {"patternProperties": {"(a+)+$": {}}}}}}, "patternProperties"),
    ({"$defs": {"a": {"pattern": "x"}}}, "pattern"),
    ({"items": {"type": "array", "uniqueItems": True}}, "uniqueItems"),
    ({"anyOf": [{"pattern": "x"}]}, "pattern"),
    ({"$ref": "#"}, "refers to itself"),
    ({"$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}, "$ref": "#/$defs/a"}, "refers to itself"),
    ({"$defs": {**LAUGHS, "a20": {}}, "$ref": "#/$defs/a0"}, "too many parts"),
    ({"$ref": "https://example.test/schema"}, "names nothing in it"),
    ({"$ref": "#/$defs/none"}, "names nothing in it"),
    ({"$ref": 5}, "names nothing in it"),
    ({"$schema": "http://json-schema.org/draft-04/schema#"}, "older than draft 7"),
    ({"$schema": None}, "older than draft 7"),
    ({"$id": "https://example.test/", "type": "object"}, "$id"),
    (NESTED, "nests too deep"),
    ({"anyOf": [{}] * 300}, "too many parts"),
    ({"title": "x" * 17_000}, "larger than 16 KiB"),
]


@pytest.mark.parametrize("schema", TAKEN, ids=range(len(TAKEN)))
def test_a_schema_is_taken_as_it_was_sent(schema: dict[str, Any]) -> None:
    assert check_result_schema(schema) is schema


@pytest.mark.parametrize(("schema", "why"), REFUSED, ids=range(len(REFUSED)))
def test_a_schema_that_is_none_or_may_be_expensive_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_result_schema(schema)
    assert why in refused.value.message


WORDS = st.sampled_from(
    ["$ref", "$defs", "type", "properties", "items", "anyOf", "enum", "required", "$schema", "x", "not"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(["#", "#/$defs/x", "string"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=15,
)  # fmt: skip


@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_any_object_is_a_schema_or_refused(schema: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequestError):
        check_result_schema(schema)
