"""Queue of targets: order, targets set aside, ends for all, results beside the beam, and kills.

A queue may be killed at every write of its journal.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.app.run_queue import Outcome, QueueEndedError, run_queue
from controller.common.exit_codes import ExitCode
from controller.session import journal_file
from controller.session.errors import JournalDamagedError, JournalFormatError
from controller.session.queue_journal import (
    GridFlipped,
    QueueJournal,
    QueueOpened,
    TargetState,
    read_queue,
)
from tests.support import crashing_queue

A_DONE = Outcome(ExitCode.OK, recorded=frozenset("A"))
BOTH_DONE = Outcome(ExitCode.OK, recorded=frozenset("AB"))
REFUSED = Outcome(ExitCode.SAFETY, "fusion refused")
WAIT_S = 30.0
"""Longest wait for a thread of the queue (s)."""
ORDER = ("p", "q", "r")


@dataclass
class FakeSessions:
    """Sessions whose ends a test sets; each remembers what it has recorded, as on disk."""

    ends: dict[str, list[Outcome]] = field(default_factory=dict)
    """Ends of the runs of a target or the flip; of the results of p as `results of p`."""
    runs: list[str] = field(default_factory=list)
    flipped: int = 0
    exposed: list[str] = field(default_factory=list)
    fused: list[str] = field(default_factory=list)

    def run_target(self, name: str) -> Outcome:
        self.runs.append(name)
        if self.ends.get(name):
            return self.ends[name].pop(0)
        series = "B" if self.flipped else "A"
        if f"{name}{series}" not in self.exposed:
            self.exposed.append(f"{name}{series}")
        return BOTH_DONE if self.flipped else A_DONE

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        self.runs.append("flip")
        if self.ends.get("flip"):
            return self.ends["flip"].pop(0), None
        self.flipped = 1
        return Outcome(ExitCode.OK), GridFlipped(order=recorded[::-1], detail="flipped")

    def make_results(self, name: str) -> Outcome:
        self.fused.append(name)
        ends = self.ends.get(f"results of {name}")
        return ends.pop(0) if ends else Outcome(ExitCode.OK)


def run(path: Path, sessions: FakeSessions) -> ExitCode:
    journal = QueueJournal(path / "queue.jsonl")
    try:
        if not journal.state.targets:
            journal.append(QueueOpened(order=ORDER))
        return run_queue(journal, sessions, lambda: False, lambda: None, print)
    finally:
        journal.close()


def states(path: Path) -> dict[str, str]:
    journal = QueueJournal(path / "queue.jsonl")
    journal.close()
    return {name: str(target.state) for name, target in journal.state.targets.items()}


def failed(reason: str = "lost", recorded: str = "") -> Outcome:
    return Outcome(ExitCode.SAFETY, reason, recorded=frozenset(recorded))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ends", "runs", "code"),
    [
        pytest.param({}, "p q r flip r q p", ExitCode.OK, id="all go well"),
        pytest.param({"q": [failed()]}, "p q r flip r p", ExitCode.SAFETY, id="one fails in A"),
        pytest.param(
            {"q": [A_DONE, failed(recorded="A")]},
            "p q r flip r q p",
            ExitCode.SAFETY,
            id="one fails in B",
        ),
        pytest.param(
            {"results of q": [REFUSED]},
            "p q r flip r q p",
            ExitCode.PROCESSING_FAILED,
            id="recorded, but its fusion is refused",
        ),
        pytest.param(
            {"q": [A_DONE, failed("stage stuck", recorded="AB")]},
            "p q r flip r q p",
            ExitCode.PROCESSING_FAILED,
            id="recorded, but its session failed after the last tilt",
        ),
        pytest.param(
            {name: [failed()] for name in ORDER}, "p q r", ExitCode.SAFETY, id="all fail in A"
        ),
    ],
)
def test_a_target_that_fails_does_not_stop_the_others(
    ends: dict[str, list[Outcome]], runs: str, code: ExitCode, tmp_path: Path
) -> None:
    sessions = FakeSessions(ends)
    assert run(tmp_path, sessions) == code
    assert sessions.runs == runs.split()


@pytest.mark.parametrize(
    ("ends", "code", "says"),
    [
        pytest.param(
            {"q": [Outcome(ExitCode.INTERRUPTED)]},
            ExitCode.INTERRUPTED,
            "q: the session was stopped",
            id="stopped",
        ),
        pytest.param(
            {"q": [Outcome(ExitCode.BRIDGE)]},
            ExitCode.BRIDGE,
            "q: the session failed",
            id="no bridge",
        ),
        pytest.param(
            {"q": [Outcome(None)]},
            ExitCode.INTERNAL_ERROR,
            "q: the session was killed",
            id="killed",
        ),
        pytest.param(
            {"q": [Outcome(ExitCode.SAFETY, "disk full", began=False)]},
            ExitCode.SAFETY,
            "q: disk full",
            id="a pre-flight check",
        ),
        pytest.param(
            {"flip": [Outcome(ExitCode.INTERRUPTED)]},
            ExitCode.INTERRUPTED,
            "the flip: the session was stopped",
            id="flip",
        ),
    ],
)
def test_what_concerns_all_ends_the_queue_and_a_resume_continues(
    ends: dict[str, list[Outcome]], code: ExitCode, says: str, tmp_path: Path
) -> None:
    sessions = FakeSessions(ends)
    with pytest.raises(QueueEndedError, match=says) as ended:
        run(tmp_path, sessions)
    assert ended.value.exit_code == code
    assert run(tmp_path, sessions) == ExitCode.OK
    assert set(states(tmp_path).values()) == {TargetState.DONE}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_queue_killed_at_any_write_continues_where_it_was(tmp_path: Path) -> None:
    moments: list[str] = []
    (tmp_path / "whole").mkdir()
    crashing_queue.run(tmp_path / "whole", moments.append)
    kinds = ("queue-opened", "series-recorded", "target-set-aside", "grid-flipped", "target-done")
    for kind in kinds:
        assert {m.split("-")[0] for m in moments if m.endswith(kind)} == {"before", "after"}
    command = [sys.executable, "-m", "tests.support.crashing_queue", tmp_path, str(len(moments))]
    subprocess.run(command, check=True, timeout=WAIT_S, cwd=Path(__file__).parents[2])
    for number in range(len(moments)):
        folder = tmp_path / str(number)
        with (folder / "queue.jsonl").open("ab") as file:
            file.write(b'{"at":"2026-')  # torn by the kill
        assert crashing_queue.run(folder) == ExitCode.SAFETY, number
        assert states(folder) == {"p": "done", "q": "set aside", "r": "done"}, number
        done = crashing_queue.SessionsOnDisk(folder).done
        assert sorted(done) == ["flip", "pA", "pB", "rA", "rB", "results-p", "results-r"], number
        names = [line.entry.kind for line in read_queue(folder / "queue.jsonl")[0]]
        assert [names.count(kind) for kind in kinds] == [1, 4, 1, 1, 2], number


class MeetingSessions(FakeSessions):
    """Results of a target that end only once series B of the next but one is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.recorded = threading.Event(), threading.Event()
        self.at_once = self.most_at_once = 0

    def run_target(self, name: str) -> Outcome:
        outcome = super().run_target(name)
        if self.flipped and name == "p":  # the last
            assert self.begun.wait(WAIT_S)
            self.recorded.set()
        return outcome

    def make_results(self, name: str) -> Outcome:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        assert self.recorded.wait(WAIT_S), "the next targets wait for the results of the first"
        self.at_once -= 1
        return super().make_results(name)


def test_results_are_made_one_at_a_time_while_the_next_targets_are_recorded(
    tmp_path: Path,
) -> None:
    sessions = MeetingSessions()
    assert run(tmp_path, sessions) == ExitCode.OK
    assert sessions.fused == ["r", "q", "p"] and sessions.most_at_once == 1
    assert states(tmp_path) == dict.fromkeys(ORDER, "done")


@pytest.mark.parametrize(
    ("first", "code", "says"),
    [
        pytest.param(Outcome(None), ExitCode.INTERNAL_ERROR, "process was killed", id="killed"),
        pytest.param(
            Outcome(ExitCode.INTERRUPTED, "by the operator"),
            ExitCode.INTERRUPTED,
            "by the operator",
            id="stopped",
        ),
    ],
)
def test_missing_results_stop_nobody_and_a_resume_makes_them(
    first: Outcome, code: ExitCode, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = FakeSessions({"results of r": [first]})
    with pytest.raises(QueueEndedError, match="r: the results are missing") as ended:
        run(tmp_path, sessions)
    assert ended.value.exit_code == code and says in capsys.readouterr().out
    assert states(tmp_path) == {"p": "done", "q": "done", "r": "B recorded"}
    assert run(tmp_path, sessions) == ExitCode.OK
    assert sessions.runs == ["p", "q", "r", "flip", "r", "q", "p"]  # nothing is recorded again
    assert states(tmp_path)["r"] == "done"


def test_a_stop_under_the_beam_leaves_the_results_to_their_process_and_the_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = FakeSessions({"q": [A_DONE, Outcome(ExitCode.INTERRUPTED)]})
    begun, go_on = threading.Event(), threading.Event()
    made = sessions.make_results

    def make_results(name: str) -> Outcome:
        begun.set()
        assert go_on.wait(WAIT_S)
        return made(name)

    recorded = sessions.run_target

    def run_target(name: str) -> Outcome:
        assert name != "q" or not sessions.flipped or begun.wait(WAIT_S)
        return recorded(name)

    sessions.make_results = make_results  # type: ignore[method-assign]
    sessions.run_target = run_target  # type: ignore[method-assign]
    with pytest.raises(QueueEndedError):
        run(tmp_path, sessions)
    assert "the results of r are still being made" in capsys.readouterr().out
    assert states(tmp_path) == {"p": "A recorded", "q": "A recorded", "r": "B recorded"}
    go_on.set()
    assert run(tmp_path, sessions) == ExitCode.OK
    assert states(tmp_path) == dict.fromkeys(ORDER, "done")


def test_a_stop_after_the_target_waits_for_its_results(tmp_path: Path) -> None:
    sessions = FakeSessions()
    journal = QueueJournal(tmp_path / "queue.jsonl")
    journal.append(QueueOpened(order=ORDER))
    with pytest.raises(QueueEndedError, match="as asked"):
        run_queue(journal, sessions, lambda: "rB" in sessions.exposed, lambda: None, print)
    journal.close()
    assert states(tmp_path) == {"p": "A recorded", "q": "A recorded", "r": "done"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param(b'"q"', b"'q'", 1, id="no JSON"),
        pytest.param(b'"target":"q"', b'"target":"p"', 3, id="another target"),
        pytest.param(b'"series":"A"', b'"series":"B"', 2, id="another series"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_changed(
    old: bytes, new: bytes, line: int, tmp_path: Path
) -> None:
    run(tmp_path, FakeSessions())
    path = tmp_path / "queue.jsonl"
    damaged = path.read_bytes().replace(old, new, 1)
    path.write_bytes(damaged)
    with pytest.raises(JournalDamagedError, match=f"line {line} is damaged"):
        run(tmp_path, FakeSessions())
    assert path.read_bytes() == damaged


def test_a_queue_of_another_version_is_refused(tmp_path: Path) -> None:
    journal = QueueJournal(tmp_path / "queue.jsonl")
    journal.append(QueueOpened(order=ORDER, queue_format=1))
    journal.close()
    with pytest.raises(JournalFormatError, match="format 1, this version reads 2"):
        run(tmp_path, FakeSessions())


def test_a_full_disk_ends_the_queue_and_a_resume_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = QueueJournal(tmp_path / "queue.jsonl")
    journal.append(QueueOpened(order=ORDER))
    before = (tmp_path / "queue.jsonl").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "sync_data", full)
        with pytest.raises(OSError, match="No space"):
            run_queue(journal, FakeSessions(), lambda: False, lambda: None, print)
    journal.close()
    assert (tmp_path / "queue.jsonl").read_bytes() == before
    assert run(tmp_path, FakeSessions()) == ExitCode.OK


def test_a_stop_after_the_target_ends_the_queue_there(tmp_path: Path) -> None:
    sessions = FakeSessions()
    journal = QueueJournal(tmp_path / "queue.jsonl")
    journal.append(QueueOpened(order=ORDER))
    with pytest.raises(QueueEndedError, match="as asked"):
        run_queue(journal, sessions, lambda: len(sessions.runs) == 2, lambda: None, print)
    journal.close()
    assert sessions.runs == ["p", "q"]
    assert states(tmp_path) == {"p": "A recorded", "q": "A recorded", "r": "waiting"}
