"""`dualtilt demo --grid`: six assemblies on one simulated grid, compared with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from controller.app.cli.run import say
from controller.app.grid_queue import new_grid, run_grid
from controller.app.grid_status import rows
from controller.app.profiles import find_faults, find_profile
from controller.common.exit_codes import ExitCode
from controller.model.protocol import read_protocol
from controller.service.queue_status import TargetRow
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import TargetState, read_queue, replay_queue

MISTAKE = "turned-first"
"""List of faults: the operator's first flip is none."""
LOOSE = "loose"
"""Target whose assembly falls off at the flip."""
MOST_OFF = 0.02
"""Largest difference of a fused count from the truth, as a fraction of it."""


def run_demo_grid(out: Path | None, faults: Sequence[Path], *, headless: bool) -> ExitCode:
    """Run the demo; return 0 only if every target ends as it should."""
    grid = new_grid(find_profile("grid"), out, [*faults, find_faults(MISTAKE)])
    say(f"grid in {grid.path}")
    code = run_grid(grid, None, say, headless=headless)
    if code not in (ExitCode.OK, ExitCode.SAFETY):
        return code
    state = replay_queue(line.entry for line in read_queue(grid.journal)[0])
    if state.in_state(TargetState.WAITING) or state.in_state(TargetState.A_RECORDED):
        return code  # ended before its time
    table, true = rows(grid, state), _true_counts(grid)
    for row in table:
        if row.count_fused is not None:
            say(f"{row.name}: {row.count_fused} counted, {true[row.name]} true")
    misses = list(_misses(table, true))
    for miss in misses:
        say(f"missed: {miss}")
    return ExitCode.ACCURACY_MISSED if misses else ExitCode.OK


def _true_counts(grid: GridFolder) -> dict[str, int]:
    targets = read_protocol(grid.protocol).targets or ()
    positions_nm = {each.name: (each.x_nm, each.y_nm) for each in targets}
    # imported by name: the controller depends on the simulator only in simulated sessions
    truth = import_module("simulator.truth")
    counts: dict[str, int] = truth.true_counts(grid.path / "simulator" / "world.json", positions_nm)
    return counts


def _misses(table: Sequence[TargetRow], true: dict[str, int]) -> Iterator[str]:
    for row in table:
        if row.name == LOOSE:
            if row.state != TargetState.SET_ASIDE:
                yield f"{row.name}: {row.state}, although its assembly has fallen off"
        elif row.count_fused is None:
            yield f"{row.name}: {row.state}, no fused count; {row.reason}"
        elif abs(row.count_fused - true[row.name]) > MOST_OFF * true[row.name]:
            yield f"{row.name}: {row.count_fused} counted, {true[row.name]} true"
