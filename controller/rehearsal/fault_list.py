"""Faults to rehearse: which, at which step, how often; read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from controller.common.errors import UsageError
from controller.common.validation import errors_in_one_line
from controller.model.base import Data, Finite, NotNegative


class FaultKind(StrEnum):
    """What goes wrong."""

    BEAM_LOST = "beam-lost"
    """No current for `for_s`; comes back by itself."""
    VALVES_CLOSED = "valves-closed"
    VACUUM = "vacuum"
    NO_FRAME = "no-frame"
    """The detector gives none; the specimen has been exposed."""

    DIM = "dim"
    BLANK = "blank"
    NOT_FINITE = "not-finite"
    SATURATED = "saturated"
    STUCK_DETECTOR = "stuck-detector"
    """The pixels of the frame before, under the new frame's id."""
    EARLIER_FRAME = "earlier-frame"
    """The frame before, id and all."""

    STAGE_REFUSES = "stage-refuses"
    STAGE_STUCK = "stage-stuck"
    STAGE_FALLS_SHORT = "stage-falls-short"
    STAGE_OVERSHOOTS = "stage-overshoots"
    STAGE_LIES = "stage-lies"
    """From here on the true tilt is `by_deg` off the reported one."""
    OBJECT_DRIFTS = "object-drifts"
    """From here on the object is `by_nm` along x off where it was."""

    NOT_FLIPPED = "not-flipped"
    TURNED_IN_PLANE = "turned-in-plane"
    OTHER_ASSEMBLY = "other-assembly"
    SCAN_CHANGED = "scan-changed"

    BRIDGE_DIES = "bridge-dies"
    """Killed after the action, before anybody is told."""
    BRIDGE_FREEZES = "bridge-freezes"
    """Stopped for `for_s`, in the midst of the action."""


class AffectedAction(StrEnum):
    """What a fault happens in."""

    MOVE = "move"
    EXPOSE = "expose"
    """Frames and showers; not the tracking shots."""
    REMOUNT = "remount"


STAGE_FAULTS = frozenset(kind for kind in FaultKind if kind.startswith(("stage-", "object-")))
REMOUNT_FAULTS = frozenset(
    {
        FaultKind.NOT_FLIPPED,
        FaultKind.TURNED_IN_PLANE,
        FaultKind.OTHER_ASSEMBLY,
        FaultKind.SCAN_CHANGED,
    }
)


class Fault(Data):
    """One thing that goes wrong."""

    kind: FaultKind
    at: str = "*"
    """Id of the step, as `dualtilt plan` prints it; ``*`` and ``?`` stand for any letters."""
    times: Annotated[int, Field(ge=1)] = 1
    for_s: NotNegative = 3.0
    """How long it lasts, for what lasts; real seconds."""
    by_deg: Finite = 5.0
    by_nm: Finite = 60.0

    @property
    def action(self) -> AffectedAction:
        """What it happens in."""
        if self.kind in STAGE_FAULTS:
            return AffectedAction.MOVE
        return AffectedAction.REMOUNT if self.kind in REMOUNT_FAULTS else AffectedAction.EXPOSE

    def fits(self, action: AffectedAction, step_id: str) -> bool:
        """Tell whether it may happen in this action of this step."""
        return action is self.action and fnmatchcase(step_id, self.at)


class _File(Data):
    fault: tuple[Fault, ...]


def read_faults(paths: Iterable[Path]) -> tuple[Fault, ...]:
    """Read lists of faults, each a TOML file of ``[[fault]]`` tables.

    Raises
    ------
    UsageError
        In one line, naming file and field.
    """
    return tuple(fault for path in paths for fault in _read(path).fault)


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{path}: {errors_in_one_line(error)}") from None
