"""Validate the content of a TOML file, and describe wrong fields in words."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
KIND_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,15}$"
WEBHOOK_PATTERN = r"^(|https?://[^\s/]\S*|env:\w+)$"
SECRET_PATTERN = r"^(|env:\w+)$"
PLAIN_WORDS = {
    "Field required": "is missing",
    "Input should be": "must be",
    "a valid array": "a list in square brackets, as [1, 2]",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "Tuple should have": "must have",
    " after validation": "",
}
"""Plain words for those of pydantic."""
PATTERN_DESCRIPTIONS = {
    NAME_PATTERN: "letters a to z, digits, dot, dash and underscore, at most 64, a letter or a "
    "digit first: it names folders",
    KIND_NAME_PATTERN: "a letter, then up to 15 letters a to z, digits, dashes or underscores",
    WEBHOOK_PATTERN: "an address without spaces that begins with http:// or https://, or env:NAME",
    SECRET_PATTERN: "env:NAME, a variable with the password; never the password itself",
}
"""Description of each pattern in words."""
WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
"""Names that Windows allows for no folder, also with an extension."""


def _allowed_on_windows(name: str) -> str:
    if name.endswith(".") or name.lower().split(".")[0] in WINDOWS_DEVICES:
        raise ValueError("Windows allows no folder of this name: choose another")
    return name


FolderName = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_allowed_on_windows)]
"""Name of a session or target, also that of its folder."""
SECRET_FIELDS = (("webhook",), ("smtp_password",))
"""Names of the fields whose value is never shown in a message."""
ERROR_LINES = "lines"
"""Key in the context of an error that stands for several: one line for each."""
MAX_SHOWN = 40
"""Longest value that a message shows whole (characters)."""


def validate_toml(content: dict[str, Any], model: type[Model]) -> Model:
    """Validate the content of a TOML file strictly: "160" is a text, not a number.

    Raises
    ------
    ValidationError
        With all wrong fields.
    """
    # through JSON: only there does strict pydantic accept a list, as TOML has it, for a tuple
    return model.model_validate_json(json.dumps(content, default=str), strict=True)


def wrong_sections(error: ValidationError, model: type[BaseModel]) -> frozenset[str]:
    """Return the fields of a model that have wrong values, a misspelt one by its right name."""
    names = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
    meant = {match for name in names for match in _similar(name, model.model_fields)}
    return frozenset(names | meant)


def valid_part(
    content: dict[str, Any], model: type[Model], wrong: Collection[str], **instead: Any
) -> Model:
    """Return a model with the valid fields alone, not validated as a whole.

    Parameters
    ----------
    wrong
        Fields with wrong values: they get their defaults, or are missing.
    instead
        Values of wrong fields that have no default.
    """
    values = {name: value for name, value in instead.items() if name in wrong}
    for name, field in model.model_fields.items():
        if name in content and name not in wrong:
            text = json.dumps(content[name], default=str)
            adapter: TypeAdapter[Any] = TypeAdapter(field.annotation or Any)
            values[name] = adapter.validate_json(text, strict=True)
    return model.model_construct(**values)


def describe_errors(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one phrase per wrong field: its dotted path and what is wrong with it.

    Parameters
    ----------
    model
        Model that was validated; for an unknown name the most similar field name is suggested.
        That field is then not called missing.
    """
    known = {name for part in _models(model) for name in part.model_fields}
    lists = {name for name, field in model.model_fields.items() if _is_list_of_tables(field)}
    items = error.errors()
    misspelt = {
        (*item["loc"][:-1], meant)
        for item in items
        if item["type"] == "extra_forbidden"
        for meant in _similar(str(item["loc"][-1]), known)
    }
    told = (item for item in items if not (item["type"] == "missing" and item["loc"] in misspelt))
    return [line for item in told for line in _describe(item, known, lists)]


def describe_misspelt(content: dict[str, Any], model: type[BaseModel]) -> list[str]:
    """Return one phrase per wrong field in sections with a misspelt name, which stays in the path.

    The name itself is an error of `describe_errors`.
    """
    meant = {
        match: name
        for name in content
        for match in _similar(name, model.model_fields)
        if match not in content
    }
    others = {name: value for name, value in content.items() if name not in meant.values()}
    try:
        validate_toml({**others, **{right: content[name] for right, name in meant.items()}}, model)
    except ValidationError as error:
        known = {name for part in _models(model) for name in part.model_fields}
        inside = [item for item in error.errors() if len(item["loc"]) > 1]
        named: list[ErrorDetails] = [
            {**item, "loc": (meant[str(item["loc"][0])], *item["loc"][1:])}
            for item in inside
            if item["loc"][0] in meant
        ]
        return [line for item in named for line in _describe(item, known, set())]
    return []


def _describe(item: ErrorDetails, known: set[str], lists: set[str]) -> list[str]:
    several: list[str] | None = item.get("ctx", {}).get(ERROR_LINES)
    return [_in_one_line(item, known, lists)] if several is None else several


def _in_one_line(item: ErrorDetails, known: set[str], lists: set[str]) -> str:
    # people count the tables of a list from 1
    where = ".".join(str(part + 1 if isinstance(part, int) else part) for part in item["loc"])
    name, given = str(item["loc"][-1]) if item["loc"] else "", item["input"]
    if len(item["loc"]) == 1:
        if isinstance(given, dict) and name in lists:
            return f"{where}: write [[{name}]], with two brackets"
        if isinstance(given, dict | list) and f"{name}s" in lists:
            return f"{where}: must be a text; did you mean [[{name}s]]?"
    if item["type"] == "extra_forbidden":
        return f"{where}: no such setting{_hint(item, name, known)}"
    message = f"{_wrong(item)}{_shown(item)}"
    return f"{where}: {message}" if where else message


def _hint(item: ErrorDetails, name: str, known: set[str]) -> str:
    # a setting that exists elsewhere is not misspelt: its own name would be the suggestion
    similar = _similar(name, known)
    return f"; did you mean {similar[0]}?" if similar else ""


def _similar(name: str, known: Collection[str]) -> list[str]:
    """Return the most similar known name; none for a known one."""
    return [] if name in known else get_close_matches(name, known, n=1, cutoff=0.75)


def _wrong(item: ErrorDetails) -> str:
    pattern = item.get("ctx", {}).get("pattern")
    if pattern in PATTERN_DESCRIPTIONS:
        return f"must be {PATTERN_DESCRIPTIONS[pattern]}"
    message = item["msg"].removeprefix("Value error, ")
    for said, plain in PLAIN_WORDS.items():
        message = message.replace(said, plain)
    return message


def _shown(item: ErrorDetails) -> str:
    given = item["input"]
    if not isinstance(given, str | int | float) or item["loc"][-1:] in SECRET_FIELDS:
        return ""
    text = repr(given)
    return f" (is {text})" if len(text) <= MAX_SHOWN else f" (is {text[:MAX_SHOWN]}...)"


def _is_list_of_tables(field: FieldInfo) -> bool:
    # an optional list is a union: its tuple is one of the arguments
    kinds = (field.annotation, *get_args(field.annotation))
    return any(
        isinstance(part, type) and issubclass(part, BaseModel)
        for kind in kinds
        for inner in (kind, *get_args(kind))
        if get_origin(inner) is tuple
        for part in get_args(inner)
    )


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _models(field.annotation)
