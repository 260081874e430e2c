"""Start the session process and show the session in a terminal."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from controller.app.detached_process import start_detached
from controller.common.ctrl_c import HungUpError, ctrl_c_sets_event, signals_end_at_once
from controller.common.errors import DualtiltError, UsageError, quoted
from controller.common.exit_codes import ExitCode
from controller.common.python_command import python_module_command
from controller.model.commands import StopWhen
from controller.service.service_address import NoSessionError, read_address
from controller.service.session_client import NotAnsweringError, ServiceClient, SessionGoneError
from controller.session.folder import SessionFolder
from controller.session.folder_lock import remove_if_unused
from controller.session.known_bridge import remember_bridge

READY_WITHIN_S = 600.0
"""Longest wait for the session process to accept connections (s).

Long, because a computer with much other work starts a process slowly; one that has ended is noticed
at once.
"""
SAID_AFTER_S = 20.0
"""Time without connections after which the wait is shown (s)."""
ENDED_WITHIN_S = 10.0
"""Longest wait for the session process to end after its last message or a lost connection (s)."""
POLL_INTERVAL_S = 0.05
REFUSALS = (ExitCode.USAGE, ExitCode.BRIDGE)
"""Exit codes of a session that ended before it used a microscope."""
ERROR_PREFIX = "dualtilt: "
"""Start of the line in which the session process says why it ended."""


class EndedEarlyError(DualtiltError):
    """The session process ended before it could be shown; carries its last message."""

    def __init__(self, text: str, exit_code: ExitCode) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class InterruptedSessionError(DualtiltError):
    """Ctrl-C or SIGTERM stopped the session; the message says how to continue it, or begin it."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, folder: SessionFolder) -> None:
        began = folder.journal.is_file()
        super().__init__(
            f"interrupted; `dualtilt resume {quoted(folder.path)}` continues"
            if began
            else "interrupted before the session began; the same command starts it"
        )


class UnwatchedError(DualtiltError):
    """The session runs but cannot be shown from here; the message says how to reach it."""

    exit_code = ExitCode.BRIDGE

    def __init__(self, folder: SessionFolder, pid: int, error: DualtiltError) -> None:
        # the remedy of a session that does not answer is part of this one
        fault = error.fault if isinstance(error, NotAnsweringError) else error
        super().__init__(
            f"{fault}; the session continues in process {pid}: "
            f"`dualtilt attach {quoted(folder.path)}` shows it again, "
            f"`kill {pid}` ends it with the column safe"
        )


def run_new(
    folder: SessionFolder,
    bridge: Path | None,
    *,
    headless: bool,
    leave_when_ended_s: float | None = None,
) -> ExitCode:
    """Run a new session and show it, see :func:`start_and_watch`.

    A session refused before its first step leaves no folder, so the command can be repeated.
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
    """Run a session, new or resumed, and show it, see :func:`start` and :func:`watch`.

    Raises
    ------
    InterruptedSessionError
        Ctrl-C or SIGTERM has stopped the session.
    UnwatchedError
        The session runs and continues, but cannot be shown from here.
    """
    try:
        process = start(folder, bridge)
        exit_code = _watch_or_name(process, folder, headless, leave_when_ended_s)
    except KeyboardInterrupt:
        raise InterruptedSessionError(folder) from None
    except HungUpError:
        raise HungUpError(
            f"; the session continues: `dualtilt attach {quoted(folder.path)}` shows it again"
        ) from None
    if exit_code != ExitCode.OK:
        _has_ended(process)
    return exit_code


def _watch_or_name(
    process: subprocess.Popen[bytes],
    folder: SessionFolder,
    headless: bool,
    leave_when_ended_s: float | None,
) -> ExitCode:
    """Show a session; if that fails while it runs, say how to reach it."""
    try:
        return watch(folder, headless=headless, leave_when_ended_s=leave_when_ended_s)
    except DualtiltError as error:
        if not _has_ended(process):
            raise UnwatchedError(folder, process.pid, error) from None
        raise
    except KeyboardInterrupt:
        process.wait()  # batch systems kill what is left once this command has ended
        raise


def start(folder: SessionFolder, bridge: Path | None) -> subprocess.Popen[bytes]:
    """Start the session process on a folder and wait until it accepts connections.

    The process has its own process group, so a closed terminal or Ctrl-C does not end it. Only
    during the wait does Ctrl-C also end the session, because nobody watches it yet.

    Parameters
    ----------
    bridge
        Connection file of a running bridge; None starts a bridge for the simulator.

    Raises
    ------
    EndedEarlyError
        The process ended at once; carries its last line.
    """
    before = _token(folder)
    remember_bridge(folder, bridge)
    command = python_module_command("controller.app.session_process", str(folder.path))
    command += ["--bridge", str(bridge.absolute())] if bridge else []
    with ctrl_c_sets_event() as pressed:
        process, log = start_detached(command, folder)
        _wait_until_ready(process, lambda: _token(folder) not in ("", before), log, pressed)
    return process


def watch(
    folder: SessionFolder, *, headless: bool, leave_when_ended_s: float | None = None
) -> ExitCode:
    """Show a session until it ends or the operator detaches; return the exit code.

    Without a screen, Ctrl-C and SIGTERM stop the session with the column safe.

    Parameters
    ----------
    leave_when_ended_s
        Time from the end of the session to closing the screen (s); None leaves it open.
    """
    if not headless and sys.stdin.isatty() and sys.stdout.isatty():
        from controller.ui.tui.run_screen import run_screen

        with signals_end_at_once():
            return run_screen(folder.path, leave_when_ended_s=leave_when_ended_s)
    try:
        from controller.ui.headless import follow

        with ctrl_c_sets_event() as pressed:
            return follow(folder.path, pressed)
    except KeyboardInterrupt:
        # a service manager sends SIGTERM to the session, too, which may have ended by now
        with suppress(NoSessionError, SessionGoneError), ServiceClient.connect(folder.path) as it:
            it.stop(StopWhen.NOW)
        raise


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    log: tuple[Path, int],
    pressed: threading.Event,
) -> None:
    start_s, said = time.monotonic(), False
    while pressed.is_set() or not ready():
        if pressed.is_set():
            process.terminate()
            process.wait()
            raise KeyboardInterrupt
        if process.poll() is not None:
            raise EndedEarlyError(_last_line(*log), _exit_code(process.returncode))
        waited_s = time.monotonic() - start_s
        if waited_s > READY_WITHIN_S:
            process.terminate()
            _has_ended(process)
            raise EndedEarlyError(
                f"the session was not ready within {READY_WITHIN_S:g} s: this computer has too "
                "much other work, or its disk is slow; close other programs and try again",
                ExitCode.BRIDGE,
            )
        if waited_s > SAID_AFTER_S and not said:
            said = True
            sys.stderr.write("the session's process is still starting; Ctrl-C ends it\n")
        time.sleep(POLL_INTERVAL_S)


def _token(folder: SessionFolder) -> str:
    """Return the token of the latest run in a folder; empty if there was none."""
    try:
        return read_address(folder.path).token
    except UsageError:
        return ""


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return True if the session process ends within the allowed time."""
    try:
        process.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _discard_refused(folder: SessionFolder, exit_code: ExitCode) -> None:
    if exit_code in REFUSALS and remove_if_unused(folder):
        sys.stderr.write(f"the session did not begin: {folder.path} is removed\n")


def _last_line(log_path: Path, begin: int) -> str:
    """Return the last line of a log behind the byte `begin`."""
    with log_path.open("rb") as log:
        log.seek(begin)
        lines = log.read().decode(errors="replace").strip().splitlines()
    if not lines:
        return f"the session ended without a message; see {log_path}"
    return lines[-1].removeprefix(ERROR_PREFIX)


def _exit_code(status: int) -> ExitCode:
    try:
        return ExitCode(status)
    except ValueError:
        return ExitCode.INTERNAL_ERROR
