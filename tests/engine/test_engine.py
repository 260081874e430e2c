"""A whole session against the fake microscope: order of the phases, files, and ends."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.events import (
    Event,
    FrameRecorded,
    Phase,
    PhaseFinished,
    PhaseStarted,
    ReportWritten,
    SessionStarted,
    State,
    StateChanged,
)
from controller.model.processing_jobs import Job, JobOutcome
from tests.support.small_session import TILTS_A, TILTS_B, FakeJobs, Run, open_session, states, tilts


def test_a_session_runs_through_all_its_phases(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.OK
    assert [event.phase for event in run.of(PhaseStarted)] == list(Phase)
    assert [event.phase for event in run.of(PhaseFinished)] == list(Phase)
    assert states(run) == [State.RUNNING, State.WAITING, State.RUNNING, State.FINISHED]
    assert run.jobs.submitted == [Job.A, Job.B, Job.FUSE]
    assert run.of(ReportWritten)[0].path == "report.html"
    assert run.of(SessionStarted)[0].simulated


def test_the_stacks_are_valid_mrc_files_with_every_tilt(tmp_path: Path) -> None:
    Run(open_session(tmp_path / "s")).go()
    for series, expected in (("A", TILTS_A), ("B", TILTS_B)):
        assert mrcfile.validate(tmp_path / "s" / f"{series}.mrc")
        assert mrcfile.read(tmp_path / "s" / f"{series}.mrc").shape == (len(expected), 48, 48)
        assert tilts(tmp_path / "s", series) == expected


def test_a_frame_is_announced_only_after_it_is_on_disk(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, FrameRecorded):
            size = (tmp_path / "s" / f"{event.frame.series}.mrc").stat().st_size
            assert size == 1024 + (event.frame.section + 1) * 48 * 48 * 2
            assert (
                f'"section":{event.frame.section},'
                in (tmp_path / "s" / "journal.jsonl").read_text()
            )

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.OK
    assert run.jobs.frames == [(e.frame.series, e.frame.section) for e in run.of(FrameRecorded)]


def test_the_time_left_falls_to_zero(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    run.go()
    left = [event.left_s for event in run.of(FrameRecorded) if event.frame.series == "A"]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


# -- ends -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    name: str
    outcome: JobOutcome
    code: ExitCode
    jobs: list[Job]


ENDS = [
    End(
        "A cannot be processed",
        JobOutcome(job=Job.A, ok=False, reason="no particles"),
        ExitCode.PROCESSING_FAILED,
        [Job.A, Job.B],
    ),
    End(
        "the fusion fails",
        JobOutcome(job=Job.FUSE, ok=False, reason="out of memory"),
        ExitCode.PROCESSING_FAILED,
        [Job.A, Job.B, Job.FUSE],
    ),
    End(
        "the fusion is refused",
        JobOutcome(job=Job.FUSE, ok=False, refused=True, reason="B is no flipped A"),
        ExitCode.SAFETY,
        [Job.A, Job.B, Job.FUSE],
    ),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.name)
def test_processing_that_fails_leaves_the_raw_data_and_a_report(tmp_path: Path, case: End) -> None:
    jobs = FakeJobs(outcomes={case.outcome.job: case.outcome})
    run = Run(open_session(tmp_path / "s"), jobs=jobs)
    assert run.go() is case.code
    assert run.jobs.submitted == case.jobs
    assert states(run)[-1] is State.FAILED
    assert case.outcome.reason in run.of(StateChanged)[-1].reason
    assert tilts(tmp_path / "s", "B") == TILTS_B
    assert len(run.of(ReportWritten)) == 1

    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert again.jobs.submitted[-1] is Job.FUSE
    assert again.of(FrameRecorded) == []


def test_an_internal_error_is_reported_and_leaves_the_column_safe(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))

    def explode(action: str, request_id: str) -> None:
        if "A-002/frame" in request_id:
            raise RuntimeError("a bug")

    run.microscope.fault = explode
    with pytest.raises(RuntimeError, match="a bug"):
        run.go()
    assert "internal error: RuntimeError: a bug" in run.of(StateChanged)[-1].reason
    assert run.microscope.blanked


def test_the_engine_imports_no_screen_no_bridge_and_no_reconstruction() -> None:
    code = (
        "import sys, controller.engine;"
        "print({'textual', 'Pyro5', 'astra', 'simulator'} & {m.split('.')[0] for m in sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
