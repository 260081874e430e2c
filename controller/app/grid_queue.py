"""Run or resume a grid with several targets."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from controller.app.grid_sessions import GridSessions
from controller.app.grid_shares import dose_line, time_line
from controller.app.grid_status import read_status, write_status
from controller.app.profiles import require_simulator_profile, simulator_profile
from controller.app.run_queue import QueueEndedError, Sessions, run_queue
from controller.common.bounded_read import read_bounded
from controller.common.ctrl_c import HungUpError
from controller.common.errors import SafetyStopError, UsageError, path_error_text, quoted
from controller.common.exit_codes import ExitCode
from controller.model.protocol import Protocol, read_protocol
from controller.model.target_order import shortest_order
from controller.rehearsal.fault_list import read_faults
from controller.report.grid_page import as_text
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.grid_folder import GridFolder
from controller.session.known_bridge import remember_bridge
from controller.session.queue_journal import QueueJournal, QueueOpened
from processing.files.atomic import remove_file, replace_text


def is_grid(path: Path) -> bool:
    """Tell whether a folder is that of a grid with several targets."""
    return GridFolder(path).journal.exists()


def new_grid(protocol_path: Path, out: Path | None, faults: Sequence[Path] = ()) -> GridFolder:
    """Make the folder of a new grid, with copies of the protocol and the simulator's profile.

    Raises
    ------
    UsageError
        The protocol or the profile is wrong, or the folder is in use.
    """
    protocol = read_protocol(protocol_path)
    read_faults(faults)
    copies: list[tuple[Path, str]] = []
    if protocol.column.kind == "simulator":
        source = simulator_profile(protocol, protocol_path)
        require_simulator_profile(source)
        copies.append((source, protocol.column.simulator_settings))
        copies += [(f, f"simulator/faults/{n}-{f.name}") for n, f in enumerate(faults, start=1)]
    path = out or Path(f"{protocol.name}-{datetime.now():%Y%m%d-%H%M%S}")
    grid = GridFolder(path.absolute())
    if is_grid(grid.path):
        raise UsageError(
            f"{grid.path}: already holds a grid; use: dualtilt resume {quoted(grid.path)}"
        )
    try:
        grid.path.mkdir(parents=True, exist_ok=True)
        if any(grid.path.iterdir()):
            raise UsageError(f"{grid.path}: is not empty; choose a new folder for the grid")
        for original, copy in copies:
            (grid.path / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, grid.path / copy)
        replace_text(grid.protocol, read_bounded(protocol_path).decode())
        grid.journal.touch()
    except OSError as error:
        raise UsageError(f"{grid.path}: cannot be made or written: {error.strerror}") from None
    return grid


def run_grid(
    grid: GridFolder, bridge: Path | None, say: Callable[[str], None], *, headless: bool
) -> ExitCode:
    """Run or resume all targets of a grid; return the exit code.

    Parameters
    ----------
    bridge
        Connection file of the microscope's bridge; None on the simulator.
    say
        Shows a line on the terminal.
    headless
        True to print text instead of showing the screen of each session.

    Raises
    ------
    UsageError
        The protocol is wrong or changed, or another run uses the folder.
    JournalDamagedError
        The queue's journal is damaged.
    SafetyStopError
        A file of the grid cannot be written, for example on a full disk.
    """
    protocol = grid.read_protocol()
    try:
        with (
            FolderLock(SessionFolder(grid.path)),
            contextlib.closing(QueueJournal(grid.journal)) as journal,
        ):
            remove_file(grid.stop_request)
            remember_bridge(SessionFolder(grid.path), bridge)
            _open(journal, protocol)
            sessions = GridSessions(grid, protocol, bridge, headless=headless)
            return _run(grid, protocol, journal, sessions, say)
    except OSError as error:
        raise SafetyStopError(
            f"{path_error_text(error, grid.path)}; mend it, then: "
            f"dualtilt resume {quoted(grid.path)}"
        ) from None
    except HungUpError:
        raise HungUpError(
            f"; the session of the present target continues, its queue does not: "
            f"dualtilt resume {quoted(grid.path)}"
        ) from None


def _open(journal: QueueJournal, protocol: Protocol) -> None:
    """Enter the order of the targets in a new journal; check that of an old one."""
    targets = protocol.targets or ()
    if not journal.state.targets:
        order = shortest_order([(each.x_nm, each.y_nm) for each in targets])
        journal.append(QueueOpened(order=tuple(targets[index].name for index in order)))
    if set(journal.state.targets) != {each.name for each in targets}:
        raise UsageError(
            "protocol.toml: its targets have changed since the start; restore it to resume, or "
            "start a new grid"
        )


def _run(
    grid: GridFolder,
    protocol: Protocol,
    journal: QueueJournal,
    sessions: Sessions,
    say: Callable[[str], None],
) -> ExitCode:
    def show() -> None:
        write_status(grid, protocol, journal.state)
        targets = journal.state.targets.items()
        say("; ".join(f"{name}: {target.state}" for name, target in targets))

    try:
        code = run_queue(journal, sessions, grid.stop_request.exists, show, say)
    except QueueEndedError as ended:
        write_status(grid, protocol, journal.state)
        say(f"{ended}; `dualtilt resume {quoted(grid.path)}` continues")
        return ended.exit_code
    status = read_status(grid, protocol.name, journal.state)
    say(as_text(status.targets))
    for line in filter(None, (status.seat_tilt, status.rotation)):
        say(line)
    names = tuple(journal.state.targets)
    say(time_line(grid, names))
    say(dose_line(grid, protocol, names))
    say(f"report: {grid.report}")
    return code
