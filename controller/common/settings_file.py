"""What a TOML file holds, validated as it is written there; wrong fields told in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
WEBHOOK_PATTERN = r"^(|https?://.+|env:\w+)$"
SECRET_PATTERN = r"^(|env:\w+)$"
IN_WORDS = {
    NAME_PATTERN: "letters a to z, digits, dot, dash and underscore, at most 64, a letter or a "
    "digit first: it names folders",
    WEBHOOK_PATTERN: "an address that begins with http:// or https://, or env:NAME",
    SECRET_PATTERN: "env:NAME, the variable that holds it: never itself",
}
"""What a text must be, for whoever reads no patterns."""
SECRET = (("webhook",), ("smtp_password",))
"""Last names of settings whose value, right or wrong, is not said again."""


def validate_toml(content: dict[str, Any], model: type[Model]) -> Model:
    """Validate what a TOML file holds as it is written there: "160" is a text, not a number.

    Raises
    ------
    ValidationError
        With every wrong field at once.
    """
    # by way of JSON: there alone pydantic's strictness takes a list for a tuple, as TOML writes it
    return model.model_validate_json(json.dumps(content, default=str), strict=True)


def describe_errors(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One phrase a wrong field: its dotted path and what is wrong with it.

    Parameters
    ----------
    model
        What was validated: names that come close to a wrong one are looked for in it.
    """
    known = {name for part in _models(model) for name in part.model_fields}
    return [_describe(item, known) for item in error.errors()]


def _describe(item: ErrorDetails, known: set[str]) -> str:
    where = ".".join(str(part) for part in item["loc"]) or "protocol"
    if item["type"] == "extra_forbidden":
        meant = get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.75)
        return f"{where}: no such setting" + (f"; did you mean {meant[0]}?" if meant else "")
    pattern = item.get("ctx", {}).get("pattern")
    wrong = f"must be {IN_WORDS[pattern]}" if pattern in IN_WORDS else item["msg"]
    given = item["input"]
    tellable = isinstance(given, str | int | float) and item["loc"][-1:] not in SECRET
    told = f" (is {given!r})" if tellable else ""
    return f"{where}: {wrong}{told}"


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _models(field.annotation)
