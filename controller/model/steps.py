"""Steps of a plan as data: one class a kind; `controller.procedures` carries them out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Data, NotNegative, Positive, SeriesName
from controller.model.events import Phase
from controller.model.frames import tilt_name
from controller.model.stage import StagePosition


class StepData(Data):
    """Fields that every step has: an id that never changes, its phase, and what it costs."""

    id: str
    phase: Phase
    duration_s: NotNegative = 0.0
    """Estimated microscope time (s)."""
    dose_e_per_A2: NotNegative = 0.0
    """Estimated dose; the dose charged is that of the actual exposures."""


class Preflight(StepData):
    """Check everything before the first exposure."""

    kind: Literal["preflight"] = "preflight"
    phase: Phase = Phase.PREFLIGHT
    planned_dose_e_per_A2: float
    """Estimated dose of this step and all later ones."""
    planned_s: float
    """Estimated microscope time of this step and all later ones (s)."""


class ShowerTilt(StepData):
    """Illuminate the assembly at one tilt of the beam shower."""

    kind: Literal["shower"] = "shower"
    phase: Phase = Phase.SHOWER
    alpha_deg: float
    current_pA: Positive
    illuminate_s: Positive
    field_nm: Positive
    elapsed_before_s: float
    """Illumination time already given at earlier tilts (s)."""
    planned_s: float
    """Illumination time of the whole shower (s)."""


class FindTarget(StepData):
    """Move to a target's position, find the assembly there and centre it."""

    kind: Literal["find-target"] = "find-target"
    current_pA: Positive
    position: StagePosition


class EucentricHeight(StepData):
    """Bring the specimen to the eucentric height before series A."""

    kind: Literal["eucentric"] = "eucentric"
    current_pA: Positive


class Autofocus(StepData):
    """Focus on the specimen at 0 degrees before series A."""

    kind: Literal["focus"] = "focus"
    current_pA: Positive


class SeriesStart(StepData):
    """Set current, focus and backlash before a series, and again after every interruption."""

    kind: Literal["series-start"] = "series-start"
    series: SeriesName
    current_pA: Positive


class Tilt(StepData):
    """Record one tilt of a series."""

    kind: Literal["tilt"] = "tilt"
    series: SeriesName
    tilt_number: Annotated[int, Field(ge=1)]
    """Place in the planned series, from 1."""
    planned: int
    """Tilts of the whole series."""
    nominal_deg: float
    approach_deg: float | None = None
    """Backlash start: angle to move to first, where the previous tilt lies on the other side."""
    focus: bool = False
    """Focus beside the specimen before the frame."""
    sweep_deg: float = 0.0
    """Tilt of the stage during the exposure, centred on `nominal_deg`; 0 where it is at rest."""


FLIP_STEP_ID = "flip"


class FlipGrid(StepData):
    """Ask the operator to flip the grid, then check the flip."""

    kind: Literal["flip"] = "flip"
    phase: Phase = Phase.FLIP


class FindFlipped(StepData):
    """Go to the target's place on the flipped grid, then check the flip."""

    kind: Literal["find-flipped"] = "find-flipped"
    phase: Phase = Phase.FLIP


class FlipForAll(StepData):
    """Ask the operator to flip the grid, then find all targets from their positions."""

    kind: Literal["flip-for-all"] = "flip-for-all"
    phase: Phase = Phase.FLIP


class Process(StepData):
    """Submit a complete series to processing."""

    kind: Literal["process"] = "process"
    series: SeriesName


class LeaveResults(StepData):
    """End the session under the beam: the results of both series are made without it."""

    kind: Literal["leave-results"] = "leave-results"
    phase: Phase = Phase.FUSE


class Fuse(StepData):
    """Wait until both series are processed, then fuse them."""

    kind: Literal["fuse"] = "fuse"


class Report(StepData):
    """Write report.html."""

    kind: Literal["report"] = "report"
    phase: Phase = Phase.REPORT


Step = Annotated[
    Preflight
    | FindTarget
    | ShowerTilt
    | EucentricHeight
    | Autofocus
    | SeriesStart
    | Tilt
    | FlipGrid
    | FindFlipped
    | FlipForAll
    | Process
    | LeaveResults
    | Fuse
    | Report,
    Field(discriminator="kind"),
]


def tilt_id(series: SeriesName, tilt_number: int) -> str:
    """Return the id of a tilt's step: ``A-001`` is the first tilt of series A."""
    return f"{series}-{tilt_number:03d}"


def step_name(step_id: str) -> str:
    """Return the name of a step for people: ``A#1`` for ``A-001``; other steps keep their id."""
    tilt = re.fullmatch(r"(?P<series>[AB])-(?P<number>\d{3,})", step_id)
    if tilt is None:
        return step_id
    return tilt_name("A" if tilt["series"] == "A" else "B", int(tilt["number"]))


def shower_id(number: int) -> str:
    """Return the id of the step at one angle of the shower: ``shower-1`` is the first."""
    return f"shower-{number}"
