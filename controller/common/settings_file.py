"""Validate the content of a TOML file, and describe wrong fields in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
WEBHOOK_PATTERN = r"^(|https?://[^\s/]\S*|env:\w+)$"
SECRET_PATTERN = r"^(|env:\w+)$"
PATTERN_DESCRIPTIONS = {
    NAME_PATTERN: "letters a to z, digits, dot, dash and underscore, at most 64, a letter or a "
    "digit first: it names folders",
    WEBHOOK_PATTERN: "an address without spaces that begins with http:// or https://, or env:NAME",
    SECRET_PATTERN: "env:NAME, a variable with the password; never the password itself",
}
"""Description of each pattern in words."""
SECRET_FIELDS = (("webhook",), ("smtp_password",))
"""Names of the fields whose value is never shown in a message."""


def validate_toml(content: dict[str, Any], model: type[Model]) -> Model:
    """Validate the content of a TOML file strictly: "160" is a text, not a number.

    Raises
    ------
    ValidationError
        With all wrong fields.
    """
    # through JSON: only there does strict pydantic accept a list, as TOML has it, for a tuple
    return model.model_validate_json(json.dumps(content, default=str), strict=True)


def describe_errors(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one phrase per wrong field: its dotted path and what is wrong with it.

    Parameters
    ----------
    model
        Model that was validated; for an unknown name the most similar field name is suggested.
    """
    known = {name for part in _models(model) for name in part.model_fields}
    return [_describe(item, known) for item in error.errors()]


def _describe(item: ErrorDetails, known: set[str]) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "protocol"
    if item["type"] == "extra_forbidden":
        similar = get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.75)
        return f"{where}: no such setting" + (f"; did you mean {similar[0]}?" if similar else "")
    pattern = item.get("ctx", {}).get("pattern")
    wrong = (
        f"must be {PATTERN_DESCRIPTIONS[pattern]}"
        if pattern in PATTERN_DESCRIPTIONS
        else item["msg"]
    )
    given = item["input"]
    showable = isinstance(given, str | int | float) and item["loc"][-1:] not in SECRET_FIELDS
    value = f" (is {given!r})" if showable else ""
    return f"{where}: {wrong}{value}"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _models(field.annotation)
