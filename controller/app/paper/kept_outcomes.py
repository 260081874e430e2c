"""Outcomes of a run, kept in its folder: a run that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from controller.app.paper.outcome import Outcome
from controller.common.atomic import replace_text
from controller.common.errors import UsageError

FILE = "outcomes.jsonl"


def read_outcomes(folder: Path, version: str) -> dict[str, Outcome]:
    """Return the outcomes in the folder of a run, by experiment.

    Raises
    ------
    UsageError
        They are of another version, or cannot be read.
    """
    path = folder / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        outcomes = [Outcome.model_validate_json(line) for line in lines]
    except (OSError, ValueError, ValidationError):
        raise UsageError(f"{path}: cannot be read as outcomes; choose a new folder") from None
    if others := {each.version for each in outcomes} - {version}:
        raise UsageError(
            f"{path}: outcomes of version {', '.join(sorted(others))}, this is {version}; "
            "choose a new folder"
        )
    return {each.experiment: each for each in outcomes}


def write_outcomes(folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write the outcomes so far, one in each line."""
    lines = (each.model_dump_json() + "\n" for each in outcomes.values())
    replace_text(folder / FILE, "".join(lines))
