"""Every kind of step, and what carries it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from controller.steps import (
    eucentric,
    flip,
    focus,
    preflight,
    process,
    report,
    series_start,
    shower,
    tilt,
)
from controller.steps.context import Context
from controller.steps.eucentric import EucentricHeight
from controller.steps.flip import FlipGrid
from controller.steps.focus import Focus
from controller.steps.preflight import Preflight
from controller.steps.process import Fuse, Process
from controller.steps.report import Report
from controller.steps.series_start import SeriesStart
from controller.steps.shower import ShowerTilt
from controller.steps.tilt import Tilt

Step = Annotated[
    Preflight
    | ShowerTilt
    | EucentricHeight
    | Focus
    | SeriesStart
    | Tilt
    | FlipGrid
    | Process
    | Fuse
    | Report,
    Field(discriminator="kind"),
]

_CARRY_OUT: dict[str, Callable[[Any, Context], None]] = {
    "preflight": preflight.carry_out,
    "shower": shower.carry_out,
    "eucentric": eucentric.carry_out,
    "focus": focus.carry_out,
    "series-start": series_start.carry_out,
    "tilt": tilt.carry_out,
    "flip": flip.carry_out,
    "process": process.carry_out_process,
    "fuse": process.carry_out_fuse,
    "report": report.carry_out,
}


def carry_out(step: Step, context: Context) -> None:
    """Carry out a step of any kind; its own module says how."""
    _CARRY_OUT[step.kind](step, context)
