"""Results of a recorded session without a microscope: outcomes, a stop, and kills."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine.results_run import ResultsRun
from controller.model.commands import StopWhen
from controller.model.events import Event, Phase, PhaseFinished, State, StateChanged
from controller.model.processing_jobs import Job, JobOutcome
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.journal import read_journal
from controller.session.ledger import replay
from tests.support.small_session import TILTS_A, TILTS_B, FakeJobs, Run, open_session, write_report

KILLED = JobOutcome(job=Job.A, ok=False, reason="killed")


class KilledError(BaseException):
    """Stands for kill -9."""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return the folder of a session with both series and no results."""
    run = Run(open_session(tmp_path / "s"), jobs=FakeJobs(outcomes={Job.A: KILLED}))
    assert run.go() == ExitCode.PROCESSING_FAILED
    return tmp_path / "s"


def make_results(
    folder: Path,
    jobs: FakeJobs | None = None,
    crash: CrashPoint = no_crash,
    events: list[Event] | None = None,
) -> ExitCode:
    session = open_session(folder, crash_point=crash)
    seen = [] if events is None else events
    try:
        return ResultsRun(session, jobs or FakeJobs(), seen.append, write_report).run()
    finally:
        session.close()


def test_results_are_made_and_their_phases_end(recorded: Path) -> None:
    (recorded / "report.html").unlink()
    events: list[Event] = []
    jobs = FakeJobs()
    assert make_results(recorded, jobs, events=events) == ExitCode.OK
    assert jobs.submitted == [Job.A, Job.B, Job.FUSE]
    assert jobs.frames == []  # nothing live is made of a recorded series
    ended = [event.phase for event in events if isinstance(event, PhaseFinished)]
    assert ended == [Phase.FUSE, Phase.REPORT]
    assert isinstance(events[-1], StateChanged) and events[-1].state is State.FINISHED
    assert (recorded / "report.html").exists()
    again = FakeJobs()
    assert make_results(recorded, again) == ExitCode.OK
    assert again.submitted == []  # the journal shows them as done


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        pytest.param(
            JobOutcome(job=Job.FUSE, ok=False, refused=True, reason="no match"),
            ExitCode.SAFETY,
            "fusion of A and B refused: no match",
            id="refused",
        ),
        pytest.param(
            JobOutcome(job=Job.FUSE, ok=False, reason="out of memory"),
            ExitCode.PROCESSING_FAILED,
            "fusion of A and B failed: out of memory",
            id="failed",
        ),
    ],
)
def test_a_failed_fusion_has_a_reason_and_a_report(
    outcome: JobOutcome, code: ExitCode, says: str, recorded: Path
) -> None:
    events: list[Event] = []
    (recorded / "report.html").unlink()
    assert make_results(recorded, FakeJobs(outcomes={Job.FUSE: outcome}), events=events) == code
    assert isinstance(events[-1], StateChanged) and says in events[-1].reason
    assert (recorded / "report.html").exists()
    assert make_results(recorded) == ExitCode.OK  # tried again


def test_a_stop_ends_the_results_and_they_can_be_continued(recorded: Path) -> None:
    session = open_session(recorded)
    run = ResultsRun(session, FakeJobs(), lambda _: None, write_report)
    run.stop(StopWhen.NOW)
    assert run.run() == ExitCode.INTERRUPTED
    session.close()
    assert make_results(recorded) == ExitCode.OK


def test_a_full_disk_makes_the_results_wait(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(recorded)
    enter, failures, states = session.enter, [OSError(errno.ENOSPC, "No space left")], []

    def full_once(entry: object) -> None:
        if failures:
            raise failures.pop()
        enter(entry)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "enter", full_once)

    def publish(event: Event) -> None:
        if isinstance(event, StateChanged):
            states.append(event.state)

    assert ResultsRun(session, FakeJobs(), publish, write_report).run() == ExitCode.OK
    session.close()
    assert states == [State.RUNNING, State.PAUSED, State.RUNNING, State.FINISHED]


def test_results_killed_at_any_write_of_the_journal_are_continued(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        folder = tmp_path / f"s{number}"
        run = Run(open_session(folder), jobs=FakeJobs(outcomes={Job.A: KILLED}))
        run.go()
        left = number

        def kill(moment: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError(moment)

        try:
            killed = False
            assert make_results(folder, crash=kill) == ExitCode.OK
        except KilledError:
            killed = True
            assert make_results(folder) == ExitCode.OK
        ledger = replay(line.entry for line in read_journal(folder / "journal.jsonl").lines)
        assert ledger.jobs_done == {Job.A, Job.B, Job.FUSE} and "fuse" in ledger.completed
        assert [len(ledger.frames[name]) for name in ("A", "B")] == [len(TILTS_A), len(TILTS_B)]
        number += 1
    assert number > 8  # before and after each entry of the results
