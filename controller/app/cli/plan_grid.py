"""Plan of a grid with several targets: their order, with time and dose of each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.app.cli.clock import clock
from controller.app.validate_protocol import refusals
from controller.common.exit_codes import ExitCode
from controller.model.exposures import survey_places_nm, survey_scan
from controller.model.plan import make_plan
from controller.model.protocol import Protocol
from controller.model.steps import FLIP_STEP_ID
from controller.model.target_order import path_nm, shortest_order

HEADINGS = ("", "target", "x, nm", "y, nm", "move, nm", "A", "B", "e/Å²")


def print_plan(protocol: Protocol) -> int:
    """Print one row for each target, then the flip and the sums; return the exit code."""
    targets = protocol.targets or ()
    places = [(each.x_nm, each.y_nm) for each in targets]
    order = shortest_order(places)
    lines: list[tuple[str, ...]] = [HEADINGS, *_rows(protocol, order)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    flip = make_plan(protocol)
    plans = [make_plan(each) for each in protocol.recorded]
    total_s = flip.duration_s + sum(plan.duration_s for plan in plans)
    maps = survey_places_nm(protocol, survey_scan(protocol))
    print(
        f"flip, then {len(maps)} maps to find the targets: "
        f"{clock(flip.duration_s)}, {flip.dose_e_per_A2:.2g} e/Å² in all"
    )
    print(
        f"{len(targets)} targets, {clock(total_s)} without processing; before the flip the stage "
        f"moves {path_nm(places, order) / 1000:.3g} µm from target to target"
    )
    refused = [line for each in protocol.recorded for line in refusals(each)]
    for reason in refused:
        print(f"dualtilt: the session would be refused: {reason}")
    return ExitCode.USAGE if refused else ExitCode.OK


def _rows(protocol: Protocol, order: tuple[int, ...]) -> Iterator[tuple[str, ...]]:
    targets = protocol.targets or ()
    here = (0.0, 0.0)
    for number, index in enumerate(order, start=1):
        target = targets[index]
        there = (target.x_nm, target.y_nm)
        plan = make_plan(protocol.of_target(target.name))
        flip = next(i for i, step in enumerate(plan.steps) if step.id == FLIP_STEP_ID)
        before_s = sum(step.duration_s for step in plan.steps[:flip])
        yield (
            str(number),
            target.name,
            f"{target.x_nm:.0f}",
            f"{target.y_nm:.0f}",
            f"{math.dist(here, there):.0f}",
            clock(before_s),
            clock(plan.duration_s - before_s),
            f"{plan.dose_e_per_A2:.0f}",
        )
        here = there
