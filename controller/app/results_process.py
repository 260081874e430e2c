"""Results process: fuses and counts a target whose series are recorded, and writes its report.

The queue of targets starts ``python -m controller.app.results_process FOLDER`` while the microscope
is at the next target. Until the last series is recorded, it has the lowest priority of all. It
works only in the target's folder, and continues when the queue's terminal is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from controller.app.session_parts import (
    load_figures_beside_the_fusion,
    open_session,
    refused_in_one_line,
    run_in_process,
    stop_on_signal,
    write_report,
)
from controller.common.errors import DualtiltError, library_failure_as_system_error
from controller.common.exit_codes import ExitCode
from controller.engine.results_run import ResultsRun
from controller.service.session_server import SessionService
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import TargetState, read_queue, replay_queue
from controller.worker.supervisor import Supervisor

AUTOGROUP = Path("/proc/self/autogroup")
"""Linux: weight of all processes of a terminal together, against those of other terminals."""
LOWEST_NICENESS = 19
SILENT_LIMIT_S = 7200.0
"""Longest time without a message from the jobs child (s); then it is taken for hung.

Long, because live work may leave the child no time for many minutes.
"""


def make_results(path: Path) -> tuple[ExitCode, str]:
    """Make the results of the session in a folder; return the exit code and why it ended.

    Raises
    ------
    DualtiltError
        The session cannot be opened; nothing was changed.
    """
    folder = SessionFolder(path)
    exit_code = ExitCode.INTERNAL_ERROR
    with ExitStack() as stack:
        with library_failure_as_system_error(), refused_in_one_line(path):
            run, service = _assemble(folder, stack, lambda: exit_code)
        exit_code = run.run()
    return exit_code, service.store.status.reason  # every event is published by now


def _assemble(
    folder: SessionFolder, stack: ExitStack, exit_code: Callable[[], ExitCode]
) -> tuple[ResultsRun, SessionService]:
    """Open the session and connect its parts; `stack` closes them.

    The service only keeps log and status: commands go to the session under the beam.
    """
    session, service = open_session(folder, stack, exit_code)
    service.listeners.append(load_figures_beside_the_fusion)
    jobs = Supervisor(folder.path, service.publish, roles=("jobs",), silent_limit_s=SILENT_LIMIT_S)
    stack.callback(jobs.close)
    run = ResultsRun(
        session,
        jobs,
        service.publish,
        lambda where: write_report(where, session.protocol, service.publish),
    )
    stop_on_signal(run.stop)
    return run, service


def is_anything_left_to_record(grid: GridFolder) -> bool:
    """Tell whether a target of a grid has a series to be recorded, or may have one."""
    try:
        state = replay_queue(line.entry for line in read_queue(grid.journal)[0])
    except DualtiltError:  # a damaged journal: nothing is known
        return True
    return bool(state.in_state(TargetState.WAITING) or state.in_state(TargetState.A_RECORDED))


def lower_priority() -> None:
    """Give this process and its children only the time that no live work wants."""
    with contextlib.suppress(OSError):
        if hasattr(os, "SCHED_IDLE"):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        elif hasattr(os, "nice"):
            os.nice(LOWEST_NICENESS)
    with contextlib.suppress(OSError):  # without it, the niceness counts within a terminal only
        AUTOGROUP.write_text(f"{LOWEST_NICENESS}\n")


def main() -> int:
    """Run the results process; return its exit code."""
    parser = argparse.ArgumentParser(prog="controller.app.results_process")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    if is_anything_left_to_record(GridFolder.of_member(args.folder)):
        lower_priority()
    return run_in_process(lambda: make_results(args.folder), args.folder)


if __name__ == "__main__":
    sys.exit(main())
