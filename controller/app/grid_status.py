"""Status, table and report of a grid with several targets."""

from __future__ import annotations

from pathlib import Path

from controller.model.base import Data
from controller.model.protocol import Protocol
from controller.report.grid_page import TargetRow, as_csv, as_page
from controller.service.session_client import last_status
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import QueueState, read_queue, replay_queue
from processing.files.atomic import replace_text


class QueueStatus(Data):
    """Status of the queue, as queue-status.json."""

    name: str
    flip: str
    """Finding of the flip in one line; empty before it."""
    targets: tuple[TargetRow, ...]


def write_status(grid: GridFolder, protocol: Protocol, state: QueueState) -> None:
    """Write queue-status.json, targets.csv and report.html."""
    table = rows(grid, state)
    status = QueueStatus(name=protocol.name, flip=state.flip, targets=tuple(table))
    replace_text(grid.status, status.model_dump_json(indent=1) + "\n")
    replace_text(grid.table, as_csv(table))
    replace_text(grid.report, as_page(protocol.name, state.flip, table))


def write_grid_report(path: Path) -> Path:
    """Write status, table and report of a grid's folder again; return the report's path."""
    grid = GridFolder(path)
    state = replay_queue(line.entry for line in read_queue(grid.journal)[0])
    write_status(grid, grid.read_protocol(), state)
    return grid.report


def rows(grid: GridFolder, state: QueueState) -> list[TargetRow]:
    """Return one row for each target, from the journal and the status of its session."""
    return [_row(grid, name, state) for name in state.targets]


def _row(grid: GridFolder, name: str, state: QueueState) -> TargetRow:
    progress, folder = state.targets[name], grid.target(name)
    status = last_status(folder.path)
    known = TargetRow(
        name=name,
        state=progress.state,
        reason=progress.reason,
        folder=folder.path.relative_to(grid.path).as_posix(),
        has_report=folder.report.exists(),
    )
    if status is None:
        return known
    points = {which: counts.latest for which, counts in status.counts.items()}
    fused = points.get("fused")
    verdict = fused.verdict.state if fused is not None and fused.verdict is not None else ""
    return known.model_copy(
        update={
            "frames_a": len(status.series["A"].tilts),
            "frames_b": len(status.series["B"].tilts),
            "count_a": points["A"].n if "A" in points else None,
            "count_b": points["B"].n if "B" in points else None,
            "count_fused": fused.n if fused else None,
            "fused_low": fused.n_low if fused else None,
            "fused_high": fused.n_high if fused else None,
            "verdict": str(verdict),
            "dose_e_per_A2": status.dose_e_per_A2,
        }
    )
