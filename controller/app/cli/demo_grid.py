"""`dualtilt demo --grid`: six assemblies on one simulated grid, compared with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from controller.app.cli.run import say
from controller.app.grid_queue import new_grid, run_grid
from controller.app.grid_status import read_status
from controller.app.profiles import find_faults, find_profile
from controller.common.exit_codes import ExitCode
from controller.rehearsal.accuracy_checks import Accuracy, read_accuracy
from controller.service.queue_status import TargetRow
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import TargetState, read_queue, replay_queue

MISTAKE = "turned-first"
"""List of faults: the operator's first flip is none."""
LOOSE = "loose"
"""Target whose assembly falls off at the flip."""
LEAST_F1 = 0.999
"""Smallest F1 of a target's fused particles against the truth."""


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
    misses = []
    for row in read_status(grid, grid.read_protocol().name, state).targets:
        accuracy = _accuracy(grid, row)
        if accuracy is not None:
            score = accuracy.tables["fused"]
            say(f"{row.name}: {score.found} found, {accuracy.n_truth} true, F1 {score.f1:.4f}")
        misses += list(_misses(row, accuracy))
    for miss in misses:
        say(f"missed: {miss}")
    return ExitCode.ACCURACY_MISSED if misses else ExitCode.OK


def _accuracy(grid: GridFolder, row: TargetRow) -> Accuracy | None:
    """Return the comparison of a target's particles with the truth; None without a fused table."""
    if row.count_fused is None:
        return None
    accuracy = read_accuracy(grid.target(row.name).path / "accuracy.json")
    return accuracy if "fused" in accuracy.tables else None


def _misses(row: TargetRow, accuracy: Accuracy | None) -> Iterator[str]:
    if row.name == LOOSE:
        if row.state != TargetState.SET_ASIDE:
            yield f"{row.name}: {row.state}, although its assembly has fallen off"
    elif accuracy is None:
        yield f"{row.name}: {row.state}, no fused count; {row.reason}"
    elif (f1 := accuracy.tables["fused"].f1) < LEAST_F1:
        yield f"{row.name}: F1 {f1:.4f} is below {LEAST_F1}"
