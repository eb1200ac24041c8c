"""A schema as people type it: JSON text in, JSON text out."""

import json
from typing import Any

from assay.errors import ErrorCode, Invalid
from assay.web.strict_json import parse_json


def read_schema_text(text: str) -> Any:
    """The decoded JSON. Raises `Invalid` that says where the text stops being JSON."""
    if not text.strip():
        raise Invalid("Schema: there is no text.", code=ErrorCode.INVALID_SCHEMA)
    try:
        return parse_json(text.encode(errors="replace"))
    except json.JSONDecodeError as error:
        where = f" at line {error.lineno}, column {error.colno}" if error.doc else ""
        raise Invalid(f"Schema: no valid JSON: {error.msg}{where}.", code=ErrorCode.INVALID_SCHEMA) from error


def write_schema_text(schema: Any) -> str:
    """A line for each field, as a person would lay it out."""
    fields = schema["fields"]
    lines = [f"    {_dumped(key)}: {_dumped(settings)}" for key, settings in fields.items()]
    return f'{{\n  "strict": {_dumped(schema["strict"])},\n  "fields": {{\n' + ",\n".join(lines) + "\n  }\n}"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
