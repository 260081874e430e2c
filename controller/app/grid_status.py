"""Status, table and report of a grid with several targets."""

from __future__ import annotations

from pathlib import Path

from controller.model.protocol import Protocol
from controller.report.grid_page import as_csv, as_page
from controller.service.queue_status import QueueStatus, TargetRow
from controller.service.status_file import last_status
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import QueueState, read_queue, replay_queue
from processing.files.atomic import replace_text


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
    known = TargetRow(
        name=name,
        state=progress.state,
        reason=progress.reason,
        folder=folder.path.relative_to(grid.path).as_posix(),
        has_report=folder.report.exists(),
    )
    status = last_status(folder.path)
    return known if status is None else known.with_session(status)
