"""The supervisor with children that die, hang, fail and lag."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.model.events import (
    Advised,
    Alerted,
    Counted,
    Event,
    Level,
    ProcessingFailed,
)
from controller.model.processing_jobs import Job, JobOutcome, ProcessingJobs
from controller.worker.supervisor import Supervisor
from tests.support.frames import recorded_frame
from tests.support.status_events import ENOUGH_TILTS

CHILD = Path(__file__).with_name("scripted_child.py")


@contextmanager
def supervised(
    folder: Path,
    script: dict[str, str],
    silent_limit_s: float = 30.0,
    *,
    counts_at_full_size: bool = False,
) -> Iterator[tuple[Supervisor, list[Event]]]:
    (folder / "script.json").write_text(json.dumps(script))
    events: list[Event] = []
    supervisor = Supervisor(
        folder,
        events.append,
        command=lambda role: [sys.executable, str(CHILD), str(folder / "script.json"), role],
        silent_limit_s=silent_limit_s,
        counts_at_full_size=counts_at_full_size,
    )
    try:
        yield supervisor, events
    finally:
        supervisor.close()


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


def frames_seen(folder: Path) -> list[str]:
    path = folder / "frames"
    return path.read_text().split() if path.exists() else []


@dataclass(frozen=True)
class Case:
    name: str
    script: dict[str, str]
    job: Job = Job.A
    outcome: JobOutcome = field(default_factory=lambda: JobOutcome(job=Job.A, ok=True))
    silent_limit_s: float = 30.0
    starts: int = 1


CASES = [
    Case("job done", {}),
    Case("job after a crash", {"A": "die-once"}, starts=2),
    Case(
        "job that ends its process twice",
        {"A": "die"},
        outcome=JobOutcome(
            job=Job.A,
            ok=False,
            reason="job A ended its process twice (ended by signal 9); it is not tried again",
        ),
        starts=2,
    ),
    Case(
        "job that hangs twice",
        {"A": "hang"},
        silent_limit_s=1.5,
        outcome=JobOutcome(
            job=Job.A,
            ok=False,
            reason="job A ended its process twice "
            "(ended because it was silent for 1.5 s); it is not tried again",
        ),
        starts=2,
    ),
    Case(
        "job that fails", {"A": "fail"}, outcome=JobOutcome(job=Job.A, ok=False, reason="fail at A")
    ),
    Case(
        "merge refused",
        {"fuse": "refuse"},
        job=Job.FUSE,
        outcome=JobOutcome(job=Job.FUSE, ok=False, refused=True, reason="refuse at fuse"),
    ),
    Case("library that prints between the messages", {"A": "chatter"}),
]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome_of_a_job(case: Case, tmp_path: Path) -> None:
    with supervised(tmp_path, case.script, case.silent_limit_s) as (supervisor, events):
        assert supervisor.wait(case.job, 0.01) is None
        supervisor.submit(case.job)
        assert supervisor.wait(case.job, 60) == case.outcome
        until(lambda: len((tmp_path / "starts-jobs").read_text().split()) == case.starts)
    failures = [event for event in events if isinstance(event, ProcessingFailed)]
    assert bool(failures) is not case.outcome.ok
    assert all(failure.reason == case.outcome.reason for failure in failures)
    deaths = [event.text for event in events if isinstance(event, Alerted)]
    assert len(deaths) == case.starts - 1
    assert all(text.startswith("process worker-jobs has ended") for text in deaths)
    levels = {event.level for event in events if isinstance(event, Alerted)}
    assert levels <= {Level.WARNING}  # a task was in progress


def log_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = folder / "run" / "worker-jobs.log"
    log.unlink()
    log.mkdir()


def no_listener(times: int) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        start, left = threading.Thread.start, [times]

        def refuse(thread: threading.Thread) -> None:
            if left[0]:
                left[0] -= 1
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)

    return prepare


NO_THREAD = "cannot be started: RuntimeError: can't start new thread"
RESTARTS: list[tuple[str, Callable[[Path, pytest.MonkeyPatch], None], JobOutcome]] = [
    ("log that cannot be written", log_is_a_folder, JobOutcome(job=Job.A, ok=True)),
    ("one thread refused", no_listener(1), JobOutcome(job=Job.A, ok=True)),
    (
        "every thread refused",
        no_listener(1_000),
        JobOutcome(
            job=Job.A,
            ok=False,
            reason=f"job A ended its process twice ({NO_THREAD}); it is not tried again",
        ),
    ),
]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "prepare", "outcome"), RESTARTS, ids=[r[0] for r in RESTARTS])
def test_a_child_that_cannot_be_restarted_as_usual_ends_no_thread(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    prepare: Callable[[Path, pytest.MonkeyPatch], None],
    outcome: JobOutcome,
) -> None:
    """The child dies before its job; then the log or a thread for the next one is missing."""
    with supervised(tmp_path, {}) as (supervisor, _):
        until(lambda: supervisor.pids["jobs"] is not None)
        pid = supervisor.pids["jobs"]
        assert pid is not None
        prepare(tmp_path, monkeypatch)
        os.kill(pid, signal.SIGKILL)
        until(lambda: supervisor.pids["jobs"] is None)
        supervisor.submit(Job.A)
        assert supervisor.wait(Job.A, 60) == outcome


def test_a_job_whose_thread_has_ended_has_failed_by_name(tmp_path: Path) -> None:
    with supervised(tmp_path, {"A": "die"}) as (supervisor, events):
        lane = supervisor._lanes["jobs"]

        def fail(*_: object) -> None:
            raise MemoryError("no room")

        lane._given_up = fail
        supervisor.submit(Job.A)
        until(lambda: bool(lane.ended_by))
        outcome = supervisor.wait(Job.A, 0.1)
    assert outcome is not None
    assert not outcome.ok
    assert "thread that runs job A has ended: MemoryError: no room" in outcome.reason
    assert any(
        "processing thread lane-worker-jobs has ended" in event.text
        for event in events
        if isinstance(event, Alerted)
    )


def test_a_frame_that_ends_its_child_twice_is_left_out_and_named(tmp_path: Path) -> None:
    with supervised(tmp_path, {"A#3": "die"}) as (supervisor, events):
        for index in range(5):
            supervisor.frame_recorded(recorded_frame("A", index + 1), 0)
        until(lambda: supervisor.behind == 0)
    assert [event for event in events if isinstance(event, ProcessingFailed)] == [
        ProcessingFailed(
            job="live-A",
            reason="A#3 ended its process twice (ended by signal 9); "
            "the live reconstruction leaves it out",
        )
    ]
    seen = frames_seen(tmp_path)
    assert "A#3" not in seen
    assert {"A#1", "A#2", "A#4", "A#5"} <= set(seen)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_child_that_dies_ten_times_loses_no_frame(tmp_path: Path) -> None:
    script = {f"A#{number}": "die-once" for number in range(1, 31, 3)}
    with supervised(tmp_path, script) as (supervisor, events):
        for index in range(30):
            supervisor.frame_recorded(recorded_frame("A", index + 1), 0)
        until(lambda: supervisor.behind == 0)
    assert len((tmp_path / "starts-live").read_text().split()) == 11
    assert {f"A#{number}" for number in range(1, 31)} == set(frames_seen(tmp_path))
    assert not [event for event in events if isinstance(event, ProcessingFailed)]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_children_killed_ten_times_between_tasks_are_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path, {}) as (supervisor, events):
        for index in range(10):
            supervisor.frame_recorded(recorded_frame("A", index + 1), 0)
            supervisor.submit(Job.A)
            outcome = supervisor.wait(Job.A, 60)
            assert outcome is not None and outcome.ok
            until(lambda: supervisor.behind == 0)
            for pid in supervisor.pids.values():
                if pid is not None:  # a child without a task is started again with the next one
                    os.kill(pid, signal.SIGKILL)
    assert {f"A#{number}" for number in range(1, 11)} == set(frames_seen(tmp_path))
    assert not [event for event in events if isinstance(event, ProcessingFailed)]


def test_a_slow_child_lags_behind_and_catches_up(tmp_path: Path) -> None:
    with supervised(tmp_path, {"every-frame": "slow"}) as (supervisor, _):
        for index in range(20):
            supervisor.frame_recorded(recorded_frame("A", index + 1), 0)
        assert supervisor.behind > 0
        until(lambda: supervisor.behind == 0)
    assert frames_seen(tmp_path) == [f"A#{number}" for number in range(1, 21)]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_frozen_child_never_blocks_the_caller(tmp_path: Path) -> None:
    with supervised(tmp_path, {}) as (supervisor, _):
        until(lambda: supervisor.pids["live"] is not None)
        pid = supervisor.pids["live"]
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        for index in range(1_000):  # many more than a pipe can hold
            supervisor.frame_recorded(recorded_frame("B", index + 1), 0)
        assert supervisor.behind == 1_000
    with pytest.raises(ProcessLookupError):  # closing kills it, though its pipe is full
        os.kill(pid, 0)


def test_live_frames_are_processed_while_a_job_hangs(tmp_path: Path) -> None:
    with supervised(tmp_path, {"A": "hang"}) as (supervisor, _):
        supervisor.submit(Job.A)
        for index in range(5):
            supervisor.frame_recorded(recorded_frame("B", index + 1), 0)
        until(lambda: supervisor.behind == 0)
        assert supervisor.wait(Job.A, 0.01) is None


@pytest.mark.skipif(os.name != "posix", reason="a hanging child is killed by its process id")
@pytest.mark.parametrize(
    ("counts_at_full_size", "starts"),
    [
        pytest.param(True, 2, id="count at full size: the job repeats it, so it is abandoned"),
        pytest.param(False, 1, id="count of reduced images: it continues"),
    ],
)
def test_a_live_count_when_the_job_on_its_series_begins(
    counts_at_full_size: bool, starts: int, tmp_path: Path
) -> None:
    script = {"count-A": "hang", "count-B": "fail"}
    with supervised(tmp_path, script, counts_at_full_size=counts_at_full_size) as (
        supervisor,
        events,
    ):
        supervisor.frame_recorded(recorded_frame("A", 1), 0)
        until(lambda: (tmp_path / "count-A-begun").exists())
        supervisor.submit(Job.A)
        outcome = supervisor.wait(Job.A, 60)
        assert outcome is not None and outcome.ok
        supervisor.frame_recorded(recorded_frame("B", 1), 0)
        counted = [
            Alerted(level=Level.WARNING, text="live count of B: fail at count-B", where="B#1")
        ]
        until(lambda: not counts_at_full_size or events == counted)
    assert len((tmp_path / "starts-count").read_text().split()) == starts
    assert events == (counted if counts_at_full_size else [])


def test_a_child_that_cannot_be_started_fails_the_job_and_not_the_session(tmp_path: Path) -> None:
    events: list[Event] = []
    supervisor = Supervisor(
        tmp_path, events.append, command=lambda role: [str(tmp_path / "no-such-program")]
    )
    try:
        supervisor.submit(Job.A)
        outcome = supervisor.wait(Job.A, 60)
        assert outcome is not None and not outcome.ok
        assert "cannot be started" in outcome.reason
    finally:
        supervisor.close()


def test_close_leaves_no_process_behind(tmp_path: Path) -> None:
    with supervised(tmp_path, {"A": "hang"}) as (supervisor, _):
        supervisor.submit(Job.A)
        until(lambda: all(supervisor.pids.values()))
        pids = [pid for pid in supervisor.pids.values() if pid is not None]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_supervisor_implements_the_interface_of_the_session(tmp_path: Path) -> None:
    with supervised(tmp_path, {}) as (supervisor, _):
        jobs: ProcessingJobs = supervisor
        jobs.frame_recorded(recorded_frame("A", 1), 0)


def test_the_newest_count_tells_what_more_tilts_would_add(tmp_path: Path) -> None:
    counted = Counted(which="A", n=9, n_low=8, n_high=10, tilts_used=1, live=True)
    advised = Advised(series="A", topic="convergence", text="", ok=True, more_tilts=ENOUGH_TILTS)
    said = {
        "events-1": [counted, advised],
        "events-2": [counted],  # a refused count has no advice
        "events-3": [counted, advised],
    }
    script = {key: [event.model_dump(mode="json") for event in said[key]] for key in said}
    with supervised(tmp_path, script) as (supervisor, events):  # type: ignore[arg-type]
        for number, expected in ((1, ENOUGH_TILTS), (2, None), (3, ENOUGH_TILTS)):
            supervisor.frame_recorded(recorded_frame("A", number), 3 - number)
            until(lambda n=number: len(events) == (2, 3, 5)[n - 1])  # type: ignore[misc]
            assert (supervisor.more_tilts("A"), supervisor.more_tilts("B")) == (expected, None)
        supervisor.frame_withdrawn("A", 1)
        assert supervisor.more_tilts("A") is None


def test_a_live_count_after_the_final_one_is_not_published(tmp_path: Path) -> None:
    live = Counted(which="A", n=9, n_low=8, n_high=10, tilts_used=1, live=True)
    final = live.model_copy(update={"live": False})
    advised = Advised(series="A", topic="blurred-side", text="", ok=True)
    said = {"events-1": [live], "events-A": [final], "events-2": [live, advised]}
    script: dict[str, object] = {
        key: [event.model_dump(mode="json") for event in said[key]] for key in said
    }
    script["count-B"] = "fail"  # its alert comes after all events of A
    with supervised(tmp_path, script) as (supervisor, events):  # type: ignore[arg-type]
        supervisor.frame_recorded(recorded_frame("A", 1), 1)
        until(lambda: events == [live])
        supervisor.submit(Job.A)
        assert supervisor.wait(Job.A, 60)
        supervisor.frame_recorded(recorded_frame("A", 2), 0)
        frames = tmp_path / "frames"
        until(lambda: frames.exists() and frames.read_text().count("A#") == 2)
        supervisor.frame_recorded(recorded_frame("B", 1), 0)
        until(lambda: any(isinstance(event, Alerted) for event in events))
    assert events[:-1] == [live, final]
