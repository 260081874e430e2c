"""List of faults to rehearse, read from TOML: kind, step and number of times."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from controller.common.errors import UsageError
from controller.common.toml_file import read_toml
from controller.common.validation import errors_in_one_line
from controller.model.base import Data, Finite, NotNegative


class FaultKind(StrEnum):
    """Kind of fault."""

    BEAM_LOST = "beam-lost"
    """No probe current for `for_s`; then it returns."""
    VALVES_CLOSED = "valves-closed"
    VACUUM = "vacuum"
    NO_FRAME = "no-frame"
    """The detector returns no frame, although the specimen was exposed."""

    DIM = "dim"
    BLANK = "blank"
    NOT_FINITE = "not-finite"
    SATURATED = "saturated"
    STUCK_DETECTOR = "stuck-detector"
    """The pixels of the previous frame, with the request id of the new one."""
    EARLIER_FRAME = "earlier-frame"
    """The previous frame with its own request id."""

    STAGE_REFUSES = "stage-refuses"
    STAGE_STUCK = "stage-stuck"
    STAGE_FALLS_SHORT = "stage-falls-short"
    STAGE_OVERSHOOTS = "stage-overshoots"
    STAGE_LIES = "stage-lies"
    """From this step on the true tilt differs from the reported one by `by_deg`."""
    OBJECT_DRIFTS = "object-drifts"
    """From this step on the object is displaced by `by_nm` along x."""

    NOT_FLIPPED = "not-flipped"
    TURNED_IN_PLANE = "turned-in-plane"
    OTHER_ASSEMBLY = "other-assembly"
    SCAN_CHANGED = "scan-changed"

    BRIDGE_DIES = "bridge-dies"
    """The bridge is killed after the action, before it replies."""
    BRIDGE_FREEZES = "bridge-freezes"
    """The bridge is stopped for `for_s` during the action."""


class AffectedAction(StrEnum):
    """Action during which a fault happens."""

    MOVE = "move"
    EXPOSE = "expose"
    """Frames and showers, but not tracking shots."""
    REMOUNT = "remount"


STAGE_FAULTS = frozenset(
    {
        FaultKind.STAGE_REFUSES,
        FaultKind.STAGE_STUCK,
        FaultKind.STAGE_FALLS_SHORT,
        FaultKind.STAGE_OVERSHOOTS,
        FaultKind.STAGE_LIES,
        FaultKind.OBJECT_DRIFTS,
    }
)
REMOUNT_FAULTS = frozenset(
    {
        FaultKind.NOT_FLIPPED,
        FaultKind.TURNED_IN_PLANE,
        FaultKind.OTHER_ASSEMBLY,
        FaultKind.SCAN_CHANGED,
    }
)


class Fault(Data):
    """One fault: its kind, its step and how often it happens."""

    kind: FaultKind
    at: str = "*"
    """Step id as `dualtilt plan` prints it; ``*`` and ``?`` stand for any characters, as in file
    names."""
    times: Annotated[int, Field(ge=1)] = 1
    for_s: NotNegative = 3.0
    """Duration of a fault that ends by itself; real seconds."""
    by_deg: Finite = 5.0
    by_nm: Finite = 60.0

    @property
    def action(self) -> AffectedAction:
        """Action during which the fault happens."""
        if self.kind in STAGE_FAULTS:
            return AffectedAction.MOVE
        return AffectedAction.REMOUNT if self.kind in REMOUNT_FAULTS else AffectedAction.EXPOSE

    def fits(self, action: AffectedAction, step_id: str) -> bool:
        """Tell whether the fault may happen in this action of this step."""
        return action is self.action and fnmatchcase(step_id, self.at)


class _File(Data):
    fault: tuple[Fault, ...]


def read_faults(paths: Iterable[Path]) -> tuple[Fault, ...]:
    """Read lists of faults: TOML files with ``[[fault]]`` tables.

    Raises
    ------
    UsageError
        If a file is wrong; in one line, with file and field.
    """
    return tuple(fault for path in paths for fault in _read(path).fault)


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(read_toml(path, kind="list of faults"))
    except ValidationError as error:
        raise UsageError(f"{path}: {errors_in_one_line(error)}") from None
