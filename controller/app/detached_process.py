"""Processes that outlive the command that started them: a session, and the results of a target."""

from __future__ import annotations

import subprocess
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.common.python_command import python_module_command
from controller.session.folder import SessionFolder
from processing.files.atomic import open_plain


def run_results_process(folder: SessionFolder) -> ExitCode | None:
    """Make the results of a recorded session in a process of their own, and wait for it.

    It continues when this one ends.

    Returns
    -------
    ExitCode | None
        None if it was killed.
    """
    command = python_module_command("controller.app.results_process", str(folder.path))
    process, _ = start_detached(command, folder)
    return exit_code_of(process)


def exit_code_of(process: subprocess.Popen[bytes]) -> ExitCode | None:
    """Wait for the end of a process; return its exit code, None if it was killed."""
    status = process.wait()  # a session may run on after its screen was closed
    return ExitCode(status) if status in list(ExitCode) else None


def start_detached(
    command: list[str], folder: SessionFolder
) -> tuple[subprocess.Popen[bytes], tuple[Path, int]]:
    """Start a process that outlives this one; return it, its log, and where its part begins."""
    path = folder.run / "session.log"
    # appended: another run may use the folder and write to this log
    with open_plain(path, "ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return process, (path, begin)
