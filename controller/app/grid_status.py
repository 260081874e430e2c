"""Status, table and report of a grid with several targets."""

from __future__ import annotations

from pathlib import Path

from controller.app.grid_rotation import read_grid_rotation
from controller.model.protocol import Protocol
from controller.procedures.flip.seat_tilt import find_seat_tilt, read_heights
from controller.report.grid_page import as_csv, as_page
from controller.service.queue_status import QueueStatus, TargetRow
from controller.service.status_file import last_status
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import QueueState, read_queue, replay_queue
from processing.files.atomic import replace_text


def write_status(grid: GridFolder, protocol: Protocol, state: QueueState) -> None:
    """Write queue-status.json, targets.csv and report.html."""
    status = read_status(grid, protocol.name, state)
    replace_text(grid.status, status.model_dump_json(indent=1) + "\n")
    replace_text(grid.table, as_csv(status.targets))
    replace_text(grid.report, as_page(status))


def write_grid_report(path: Path) -> Path:
    """Write status, table and report of a grid's folder again; return the report's path."""
    grid = GridFolder(path)
    state = replay_queue(line.entry for line in read_queue(grid.journal)[0])
    write_status(grid, grid.read_protocol(), state)
    return grid.report


def read_status(grid: GridFolder, name: str, state: QueueState) -> QueueStatus:
    """Return the status of the grid `name`, from its journal, its sessions and their results."""
    rows = [_row(grid, target, state) for target in state.targets]
    rotation = read_grid_rotation(grid, rows)
    seat = find_seat_tilt(read_heights(grid, state.targets))
    off_plane = seat.doubts if seat is not None else {}
    return QueueStatus(
        name=name,
        flip=state.flip,
        rotation=rotation.line,
        seat_tilt=rotation.compared_with(seat) if seat is not None else "",
        targets=tuple(_with_doubts(row, rotation.doubts, off_plane) for row in rows),
    )


def _with_doubts(row: TargetRow, *doubts: dict[str, str]) -> TargetRow:
    """Return the row of a target; its reason also says how the target deviates from the others."""
    reasons = [row.reason, *(each.get(row.name, "") for each in doubts)]
    return row.model_copy(update={"reason": "; ".join(filter(None, reasons))})


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
