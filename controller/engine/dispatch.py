"""The procedure that carries out each kind of step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.model.steps import Step
from controller.procedures import (
    eucentric,
    find_target,
    focus,
    preflight,
    process,
    report,
    series_start,
    shower,
    tilt,
)
from controller.procedures.context import Context
from controller.procedures.flip import find_flipped, flip_for_all, flip_grid

_CARRY_OUT: dict[str, Callable[[Any, Context], None]] = {
    "preflight": preflight.carry_out,
    "find-target": find_target.carry_out,
    "shower": shower.carry_out,
    "eucentric": eucentric.carry_out,
    "focus": focus.carry_out,
    "series-start": series_start.carry_out,
    "tilt": tilt.carry_out,
    "flip": flip_grid.carry_out,
    "find-flipped": find_flipped.carry_out,
    "flip-for-all": flip_for_all.carry_out,
    "process": process.carry_out_process,
    "leave-results": process.carry_out_leave_results,
    "fuse": process.carry_out_fuse,
    "report": report.carry_out,
}


def carry_out(step: Step, context: Context) -> None:
    """Carry out a step of any kind."""
    _CARRY_OUT[step.kind](step, context)
