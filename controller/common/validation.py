"""Validation errors as text for the operator."""

from __future__ import annotations

from pydantic import ValidationError


def errors_in_one_line(error: ValidationError) -> str:
    """Return all validation errors in one line, each with the path of its field."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'input'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
