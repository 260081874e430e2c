"""Protocol of a session: read from TOML, with the checks across its sections.

Each section is in `controller.model.sections`; `controller.model.plan` turns a protocol into
ordered steps. Unknown keys are refused, units are in the names, and the defaults are those of
Altantzis et al., J. Phys. Chem. C 2021, 125, 26240.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError
from controller.common.settings_file import (
    ERROR_LINES,
    describe_errors,
    describe_misspelt,
    valid_part,
    validate_toml,
    wrong_sections,
)
from controller.common.toml_file import read_toml
from controller.model.plausible import DWELL, PIXEL
from controller.model.protocol_sections import ProtocolSections
from controller.model.scan import ScanSettings
from controller.model.section_checks import disagreements


class Protocol(ProtocolSections):
    """Protocol of a dual tilt-series session."""

    @field_validator("scan")
    @classmethod
    def _plausible_scan(cls, scan: ScanSettings) -> ScanSettings:
        # not a limit of every scan: low-dose shots are shorter, survey maps have larger pixels
        values = (("pixel_nm", scan.pixel_nm, PIXEL), ("dwell_us", scan.dwell_us, DWELL))
        wrong = [
            f"{name} {text} (is {value:g})"
            for name, value, allowed in values
            if (text := allowed.wrong(value))
        ]
        if wrong:
            raise PydanticCustomError("implausible", "{wrong}", {"wrong": ", ".join(wrong)})
        return scan

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if lines := disagreements(self):
            context = {"wrong": "; ".join(lines), ERROR_LINES: lines}
            raise PydanticCustomError("disagreement", "{wrong}", context)
        return self


@dataclass(frozen=True)
class CheckedProtocol:
    """Content of a protocol, checked as far as possible.

    Attributes
    ----------
    protocol
        Protocol; if sections are wrong, one with the valid sections alone.
    wrong
        One line for each wrong setting or disagreement.
    wrong_sections
        Sections that cannot be used.
    """

    protocol: Protocol
    wrong: list[str]
    wrong_sections: frozenset[str]


def check_content(content: dict[str, Any]) -> CheckedProtocol:
    """Check the content of a protocol; a wrong section does not hide what is wrong elsewhere."""
    try:
        return CheckedProtocol(validate_toml(content, Protocol), [], frozenset())
    except ValidationError as error:
        wrong, sections = describe_errors(error, Protocol), wrong_sections(error, Protocol)
        wrong += describe_misspelt(content, Protocol)
        valid = _valid_targets(content, error)
    if valid:
        content, sections = {**content, "targets": valid}, sections - {"targets"}
    part = valid_part(content, Protocol, sections, name="unnamed")
    if sections or valid:
        wrong += disagreements(part, sections)
    return CheckedProtocol(part, wrong, sections)


def _valid_targets(content: dict[str, Any], error: ValidationError) -> list[Any]:
    """Return the targets without errors of their own, if others have some."""
    places = [item["loc"] for item in error.errors() if item["loc"][:1] == ("targets",)]
    if not places or any(len(place) < 2 for place in places):
        return []
    wrong = {place[1] for place in places}
    return [each for index, each in enumerate(content["targets"]) if index not in wrong]


def read_protocol(path: Path, read: Callable[[Path], bytes] = read_bounded) -> Protocol:
    """Read and check a protocol.

    Parameters
    ----------
    read
        Function that reads the file; that of a session refuses links.

    Raises
    ------
    UsageError
        The file cannot be read, or settings are wrong; names all of them with their paths.
    """
    checked = check_content(read_toml(path, read, "protocol; see config/ for examples"))
    if checked.wrong:
        raise UsageError(f"{path}: {'; '.join(checked.wrong)}")
    protocol = checked.protocol
    try:
        return protocol if protocol.target is None else protocol.of_target(protocol.target)
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(describe_errors(error, Protocol))}") from None
