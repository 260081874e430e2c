"""Starting the session process, and watching it from a terminal."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from controller.app.profiles import require_simulator_profile, simulator_profile
from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.common.python_command import python_module_command
from controller.model.commands import StopWhen
from controller.model.protocol import read_protocol
from controller.rehearsal.fault_list import read_faults
from controller.service.service_address import read_address
from controller.service.session_client import ServiceClient
from controller.session.folder import SessionFolder, remove_if_unused

READY_WITHIN_S = 120.0
ENDED_WITHIN_S = 10.0
"""From a session's last word, or its failure to answer, to the end of its process."""
POLL_INTERVAL_S = 0.05
REFUSALS = (ExitCode.USAGE, ExitCode.BRIDGE)
"""What a session ends with that was not let near a microscope."""


class EndedEarlyError(DualtiltError):
    """The session's process ended before anyone could look; says what it said last."""

    def __init__(self, text: str, exit_code: ExitCode) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class UnwatchedError(DualtiltError):
    """The session runs, and whoever started it cannot look: says how it is reached all the same."""

    exit_code = ExitCode.BRIDGE

    def __init__(self, folder: SessionFolder, pid: int, why: DualtiltError) -> None:
        super().__init__(
            f"{why}; the session goes on in process {pid}: `dualtilt attach {folder.path}` looks "
            f"in again, `kill {pid}` ends it with the column safe"
        )


def new_session(
    protocol_path: Path, out: Path | None, faults: Sequence[Path] = ()
) -> SessionFolder:
    """Make the folder of a new session: protocol and simulator's profile as they are now.

    Parameters
    ----------
    out
        Missing or empty; by default a folder named after protocol and time, here.
    faults
        Lists of faults to rehearse, copied into the folder as well.

    Raises
    ------
    UsageError
        Protocol or profile wrong, folder in use.
    """
    protocol = read_protocol(protocol_path)
    source = simulator_profile(protocol, protocol_path)
    simulated = protocol.column.kind == "simulator"
    # both said before anything is made
    read_faults(faults)
    if simulated:
        require_simulator_profile(source)
    if out is None:
        out = Path(f"{protocol.name}-{datetime.now():%Y%m%d-%H%M%S}")
    folder = SessionFolder.create(out.absolute(), protocol_path.read_text(encoding="utf-8"))
    if simulated:
        copy = simulator_profile(protocol, folder.protocol)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        except OSError as error:
            shutil.rmtree(folder.path)
            raise UsageError(f"{source}: cannot be copied: {error.strerror}") from None
    for number, path in enumerate(faults):
        folder.faults.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder.faults / f"{number}-{path.name}")
    return folder


def require_bridge(protocol_path: Path, bridge: Path | None) -> None:
    """Refuse to go without a bridge where the protocol is for a real column.

    Raises
    ------
    UsageError
        Also where the protocol is wrong.
    """
    if read_protocol(protocol_path).column.kind == "bridge" and bridge is None:
        raise UsageError(
            f"{protocol_path}: column.kind is bridge: start `dualtilt bridge` on the microscope "
            "PC and pass its connection file with --bridge"
        )


def run_new(
    folder: SessionFolder,
    bridge: Path | None,
    *,
    headless: bool,
    leave_when_ended_s: float | None = None,
) -> ExitCode:
    """Run a new session and show it, see :func:`start_and_watch`.

    A session refused before its first step leaves no folder: the same command can be said again.
    """
    try:
        exit_code = start_and_watch(
            folder, bridge, headless=headless, leave_when_ended_s=leave_when_ended_s
        )
    except DualtiltError as error:
        _discard_refused(folder, error.exit_code)
        raise
    _discard_refused(folder, exit_code)
    return exit_code


def start_and_watch(
    folder: SessionFolder,
    bridge: Path | None,
    *,
    headless: bool,
    leave_when_ended_s: float | None = None,
) -> ExitCode:
    """Run a session, new or taken up again, and show it, see :func:`start` and :func:`watch`.

    Raises
    ------
    UnwatchedError
        It runs, but cannot be watched from here; it is left to itself.
    """
    process = start(folder, bridge)
    try:
        exit_code = watch(folder, headless=headless, leave_when_ended_s=leave_when_ended_s)
    except DualtiltError as error:
        if not _ends(process):
            raise UnwatchedError(folder, process.pid, error) from None
        raise
    if exit_code != ExitCode.OK:
        _ends(process)
    return exit_code


def start(folder: SessionFolder, bridge: Path | None) -> subprocess.Popen[bytes]:
    """Start the session's process on a folder and wait until it can be attached to.

    It has a process group of its own: no closed terminal and no Ctrl-C reaches it. Only while it
    is being waited for does Ctrl-C end it too: nobody is there yet to look after it.

    Parameters
    ----------
    bridge
        Connection file of a bridge that runs already; None starts one for the simulator.

    Raises
    ------
    EndedEarlyError
        It ended at once, with the line it ended with.
    """
    before = _token(folder)
    log_path = folder.run / "session.log"
    command = python_module_command("controller.app.host", str(folder.path))
    command += ["--bridge", str(bridge.absolute())] if bridge else []
    with _ctrl_c_noted() as pressed:
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_until_ready(process, lambda: _token(folder) not in ("", before), log_path, pressed)
    return process


def watch(
    folder: SessionFolder, *, headless: bool, leave_when_ended_s: float | None = None
) -> ExitCode:
    """Show a session until it ends or the operator detaches; return the exit code to end with.

    Without a screen Ctrl-C stops the session, the column safe: whoever pressed it means it.

    Parameters
    ----------
    leave_when_ended_s
        Close the screen by itself so long after the session's end; None leaves it open.
    """
    if not headless and sys.stdin.isatty() and sys.stdout.isatty():
        from controller.ui.tui.session_app import run_screen

        return run_screen(folder.path, leave_when_ended_s=leave_when_ended_s)
    try:
        from controller.ui.headless import follow

        return follow(folder.path)
    except KeyboardInterrupt:
        with ServiceClient.connect(folder.path) as client:
            client.stop(StopWhen.NOW)
        raise


@contextmanager
def _ctrl_c_noted() -> Iterator[threading.Event]:
    """Ctrl-C sets the event: an exception could come before the process it is to end is known."""
    pressed = threading.Event()
    usual = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, usual)


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    log_path: Path,
    pressed: threading.Event,
) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while pressed.is_set() or not ready():
        if pressed.is_set():
            process.terminate()
            raise KeyboardInterrupt
        if process.poll() is not None:
            raise EndedEarlyError(_last_line(log_path), _exit_code(process.returncode))
        if time.monotonic() > deadline:
            process.terminate()
            raise EndedEarlyError(
                f"the session was not ready within {READY_WITHIN_S:g} s; see {log_path}",
                ExitCode.INTERNAL_ERROR,
            )
        time.sleep(POLL_INTERVAL_S)


def _token(folder: SessionFolder) -> str:
    """Return the token of the run that announced itself last; empty where there was none."""
    try:
        return read_address(folder.path).token
    except UsageError:
        return ""


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a session's process ends by itself, given a while."""
    try:
        process.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _discard_refused(folder: SessionFolder, exit_code: ExitCode) -> None:
    if exit_code in REFUSALS and remove_if_unused(folder):
        sys.stderr.write(f"nothing was begun: {folder.path} is removed\n")


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"the session ended without a word; see {log_path}"
    return said.removeprefix("dualtilt: ")


def _exit_code(status: int) -> ExitCode:
    try:
        return ExitCode(status)
    except ValueError:
        return ExitCode.INTERNAL_ERROR
