"""Errors of pydantic's validation, for people."""

from __future__ import annotations

from pydantic import ValidationError


def errors_in_one_line(error: ValidationError) -> str:
    """Return all errors of a validation in one line, each with the path of its field."""
    return "; ".join(
        f"{'.'.join(str(part) for part in complaint['loc']) or 'input'}: {complaint['msg']}"
        for complaint in error.errors(include_url=False, include_input=False, include_context=False)
    )
