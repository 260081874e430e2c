"""Process that makes the results of a recorded target: its outcome, its files, its priority."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.app.detached_process import run_results_process
from controller.app.results_process import is_anything_left_to_record
from controller.common.exit_codes import ExitCode
from controller.model.processing_jobs import Job, JobOutcome
from controller.service.session_client import find_sessions
from controller.service.status_file import last_status
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import (
    GridFlipped,
    QueueJournal,
    QueueOpened,
    SeriesRecorded,
    TargetSetAside,
    TargetState,
)
from tests.support.small_session import FakeJobs, Run, open_session

KILLED = JobOutcome(job=Job.A, ok=False, reason="killed")


def test_a_fusion_that_fails_leaves_its_reason_and_a_report_and_frees_the_folder(
    tmp_path: Path,
) -> None:
    path = tmp_path / "target"
    assert Run(open_session(path), jobs=FakeJobs(outcomes={Job.A: KILLED})).go() != ExitCode.OK
    folder = SessionFolder(path)
    folder.report.unlink()
    code = run_results_process(folder)  # both series show the same side
    status = last_status(path)
    assert code == ExitCode.SAFETY and status is not None
    assert status.exit_code == code and "fusion of A and B refused" in status.reason
    assert folder.report.exists()
    assert path not in find_sessions()  # commands without a folder mean the session under the beam
    FolderLock(folder).release()


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the system has no idle priority")
def test_only_idle_time_is_used_also_by_the_children() -> None:
    code = (
        "import os, subprocess, sys; from controller.app.results_process import lower_priority;"
        "lower_priority(); ask = 'import os; print(os.sched_getscheduler(0))';"
        "subprocess.run([sys.executable, '-c', ask], check=True)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(os.SCHED_IDLE)]


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        pytest.param([("one", "A"), ("two", "A"), ("flip", ""), ("two", "B")], True, id="one B"),
        pytest.param([("two", "A"), ("one", "-")], True, id="the flip is next"),
        pytest.param(
            [("two", "A"), ("one", "-"), ("flip", ""), ("two", "B")], False, id="set aside"
        ),
        pytest.param(
            [("one", "A"), ("two", "A"), ("flip", ""), ("two", "B"), ("one", "B")],
            False,
            id="all recorded",
        ),
    ],
)
def test_results_have_the_lowest_priority_only_while_something_is_left_to_record(
    entries: list[tuple[str, str]], left: bool, tmp_path: Path
) -> None:
    grid = GridFolder(tmp_path)
    journal = QueueJournal(grid.journal)
    journal.append(QueueOpened(order=("one", "two")))
    for name, series in entries:
        match series:
            case "":
                recorded = journal.state.in_state(TargetState.A_RECORDED)
                journal.append(GridFlipped(order=recorded, detail="flipped"))
            case "-":
                journal.append(TargetSetAside(target=name, series="A", reason="lost"))
            case "A" | "B":
                journal.append(SeriesRecorded(target=name, series=series))
    journal.close()
    assert is_anything_left_to_record(grid) is left


def test_a_damaged_journal_leaves_the_priority_low(tmp_path: Path) -> None:
    grid = GridFolder(tmp_path)
    grid.journal.write_text("no line of a journal\n" * 2)
    assert is_anything_left_to_record(grid)
