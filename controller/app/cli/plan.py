"""`dualtilt plan PROTOCOL.toml`: every step with its time and dose; nothing is changed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from controller.app.cli.clock import clock
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.model.base import SeriesName
    from controller.model.plan import Plan
    from controller.model.steps import Step


SERIES: tuple[SeriesName, ...] = ("A", "B")
COLUMNS = ("step", "action", "time", "so far", "e/Å²", "so far")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL.toml", help="a path or a profile's name")


def run(args: argparse.Namespace) -> int:
    """Print the plan; fail if its session would be refused."""
    from controller.app.profiles import find_profile
    from controller.app.validate_protocol import refusals
    from controller.model.plan import make_plan
    from controller.model.protocol import read_protocol

    protocol = read_protocol(find_profile(args.protocol))
    if protocol.only_flips:
        from controller.app.cli.plan_grid import print_plan

        return print_plan(protocol)
    plan = make_plan(protocol)
    show = _show_table if sys.stdout.isatty() else _show_plainly
    show(plan.name, list(rows(plan)))
    budget = plan.dose_budget_e_per_A2
    print(
        f"{len(plan.steps)} steps, {clock(plan.duration_s)}, "
        f"{plan.dose_e_per_A2:.0f} of {budget:.0f} e/Å² "
        f"({plan.dose_e_per_A2 / budget:.0%} of limits.dose_budget_e_per_A2)"
    )
    settled = [name for name in SERIES if protocol.series(name).end_when == "settled"]
    if settled:
        print(
            f"series {' and '.join(settled)}: at most these tilts; ends when its count is settled"
        )
    refused = list(refusals(protocol))
    for reason in refused:
        print(f"dualtilt: the session would be refused: {reason}")
    return ExitCode.USAGE if refused else ExitCode.OK


def rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Give one row per step: id, action, time, time so far, dose, dose so far."""
    time_s = dose = 0.0
    for step in plan.steps:
        time_s += step.duration_s
        dose += step.dose_e_per_A2
        yield (
            step.id,
            describe(step),
            clock(step.duration_s),
            clock(time_s),
            f"{step.dose_e_per_A2:.1f}",
            f"{dose:.0f}",
        )


def describe(step: Step) -> str:
    """Describe a step in a few words."""
    match step.kind:
        case "preflight":
            return "pre-flight checks"
        case "shower":
            at = f"at {step.alpha_deg:+g}°, {step.current_pA:g} pA"
            return f"beam shower {step.illuminate_s:g} s {at}"
        case "series-start":
            return f"verify {step.current_pA:g} pA, take up backlash, centre the object"
        case "eucentric":
            return f"verify {step.current_pA:g} pA, bring the specimen onto the tilt axis"
        case "focus":
            return f"verify {step.current_pA:g} pA, focus on the specimen at 0°"
        case "tilt" if step.sweep_deg:
            begin_deg = step.nominal_deg - step.sweep_deg / 2
            end_deg = begin_deg + step.sweep_deg
            speed = abs(step.sweep_deg) / step.duration_s
            return f"frame from {begin_deg:+g}° to {end_deg:+g}° while tilting, {speed:.2g}°/s"
        case "tilt":
            way = "" if step.approach_deg is None else f", approached from {step.approach_deg:+g}°"
            focused = ", focus beside the specimen" if step.focus else ""
            return f"frame at {step.nominal_deg:+g}°{way}{focused}"
        case "find-target":
            return f"find the target at x {step.position.x_nm:g}, y {step.position.y_nm:g} nm"
        case "flip":
            return "flip the grid, check the flip"
        case "find-flipped":
            return "find the target on the flipped grid, check the flip"
        case "flip-for-all":
            return "flip the grid, find all targets"
        case "process":
            return f"submit series {step.series} to processing"
        case "leave-results":
            return "give the microscope to the next target"
        case "fuse":
            return "wait for the processing of A and B, fuse, count"
        case "report":
            return "write report.html"


def _show_table(name: str, lines: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if i < 2 else "right")
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def _show_plainly(name: str, lines: Sequence[tuple[str, ...]]) -> None:
    print(name)
    widths = [max(len(line[i]) for line in (COLUMNS, *lines)) for i in range(len(COLUMNS))]
    for line in (COLUMNS, *lines):
        left = "  ".join(
            cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)
        )
        right = "  ".join(cell.rjust(w) for cell, w in zip(line[2:], widths[2:], strict=True))
        print(f"{left}  {right}")
