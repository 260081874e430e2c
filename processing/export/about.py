"""Facts about a session that no file of the session holds: title, authors, sample."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read
from processing.files.text import read_text

LONGEST_ENTRY_BYTES = 1 << 20

Text = Annotated[str, Field(min_length=1)]


class Person(BaseModel):
    """A person as EMPIAR asks for one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_name: Text
    last_name: Text
    organization: Text
    town_or_city: Text
    post_or_zip: Text
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    """Code of two capital letters."""
    email: Text
    author_orcid: Text | None = None


class About(BaseModel):
    """Contents of the file that `--about` names; whatever is left out is listed as missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text | None = None
    authors: list[Text] = []
    """One after the other, as ``Last name, F.``."""
    corresponding_author: Person | None = None
    principal_investigator: Person | None = None
    publication: Text | None = None
    """DOI, or ``none``."""
    release: Text | None = None
    """When the raw data become public: ``now``, ``on publication``, or a date."""
    sample: Text | None = None
    atom_types: list[Text] = []
    """Symbols of the elements in the sample."""
    preparation_date: AwareDatetime | None = None
    """End of the preparation of the sample, with its time zone."""
    is_simulation: bool | None = None
    start_time: AwareDatetime | None = None
    """Start of the session, with its time zone."""
    microscope: Text | None = None


def completed(about: About, session: Path) -> About:
    """Return the facts, completed by those that the files of a session hold."""
    found = {**_of_protocol(session / "protocol.toml"), **_of_journal(session / "journal.jsonl")}
    given = {name: value for name, value in about if value not in (None, [])}
    return About.model_validate(found | given)


def _of_protocol(path: Path) -> dict[str, object]:
    try:
        protocol = tomllib.loads(read_text(path))
    except (InputFileError, ValueError):
        return {}
    column = protocol.get("column")
    kind = column.get("kind") if isinstance(column, dict) else None
    facts = {
        "sample": protocol.get("specimen") or None,
        "is_simulation": None if kind is None else kind == "simulator",
    }
    return {name: value for name, value in facts.items() if value is not None}


def _of_journal(path: Path) -> dict[str, object]:
    """Return the time of the first entry."""
    try:
        with open_to_read(path) as file:
            entry = FirstEntry.model_validate_json(file.readline(LONGEST_ENTRY_BYTES))
    except (OSError, ValueError):
        return {}
    return {"start_time": entry.at}


class FirstEntry(BaseModel):
    """The part of a journal's entry that is needed here."""

    at: AwareDatetime
