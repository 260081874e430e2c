"""Queue of targets: order, targets set aside, ends for all, and kills at every journal write."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.app.run_queue import Outcome, QueueEndedError, run_queue
from controller.common.exit_codes import ExitCode
from controller.session import journal_file
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.errors import JournalDamagedError, JournalFormatError
from controller.session.queue_journal import (
    GridFlipped,
    QueueJournal,
    QueueOpened,
    TargetState,
    read_queue,
)

A_DONE = Outcome(ExitCode.OK, recorded=frozenset("A"))
BOTH_DONE = Outcome(ExitCode.OK, recorded=frozenset("AB"))
ORDER = ("p", "q", "r")


@dataclass
class FakeSessions:
    """Sessions whose ends a test sets; each remembers what it has recorded, as on disk."""

    ends: dict[str, list[Outcome]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    flipped: int = 0
    exposed: list[str] = field(default_factory=list)

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


def run(path: Path, sessions: FakeSessions, crash: CrashPoint = no_crash) -> ExitCode:
    journal = QueueJournal(path / "queue.jsonl", crash)
    try:
        if not journal.state.targets:
            journal.append(QueueOpened(order=ORDER))
        return run_queue(journal, sessions, lambda: False, lambda: None)
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
            {"q": [A_DONE, failed("fusion refused", recorded="AB")]},
            "p q r flip r q p",
            ExitCode.PROCESSING_FAILED,
            id="recorded, but its fusion is refused",
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
    ("ends", "code"),
    [
        pytest.param({"q": [Outcome(ExitCode.INTERRUPTED)]}, ExitCode.INTERRUPTED, id="stopped"),
        pytest.param({"q": [Outcome(ExitCode.BRIDGE)]}, ExitCode.BRIDGE, id="no bridge"),
        pytest.param({"q": [Outcome(None)]}, ExitCode.INTERNAL_ERROR, id="killed"),
        pytest.param(
            {"q": [Outcome(ExitCode.SAFETY, "disk full", began=False)]},
            ExitCode.SAFETY,
            id="a pre-flight check",
        ),
        pytest.param({"flip": [Outcome(ExitCode.INTERRUPTED)]}, ExitCode.INTERRUPTED, id="flip"),
    ],
)
def test_what_concerns_all_ends_the_queue_and_a_resume_continues(
    ends: dict[str, list[Outcome]], code: ExitCode, tmp_path: Path
) -> None:
    sessions = FakeSessions(ends)
    with pytest.raises(QueueEndedError) as ended:
        run(tmp_path, sessions)
    assert ended.value.exit_code == code
    assert run(tmp_path, sessions) == ExitCode.OK
    assert set(states(tmp_path).values()) == {TargetState.DONE}


class KilledError(BaseException):
    """Stands for kill -9."""


def moments(tmp_path: Path) -> list[str]:
    seen: list[str] = []
    (tmp_path / "whole").mkdir()
    run(tmp_path / "whole", FakeSessions({"q": [failed()]}), seen.append)
    return seen


def test_a_queue_killed_at_any_write_continues_where_it_was(tmp_path: Path) -> None:
    for number, moment in enumerate(moments(tmp_path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        sessions = FakeSessions({"q": [failed(), failed()]})

        def kill(name: str, at: str = moment) -> None:
            if name == at:
                raise KilledError

        with pytest.raises(KilledError):
            run(folder, sessions, kill)
        with (folder / "queue.jsonl").open("ab") as file:
            file.write(b'{"at":"2026-')  # torn by the kill
        assert run(folder, sessions) == ExitCode.SAFETY, moment
        assert states(folder) == {"p": "done", "q": "set aside", "r": "done"}, moment
        assert sorted(sessions.exposed) == ["pA", "pB", "rA", "rB"], moment
        names = [line.entry.kind for line in read_queue(folder / "queue.jsonl")[0]]
        assert names.count("grid-flipped") == names.count("queue-opened") == 1, moment


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
    journal.append(QueueOpened(order=ORDER, queue_format=2))
    journal.close()
    with pytest.raises(JournalFormatError, match="format 2, this version reads 1"):
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
            run_queue(journal, FakeSessions(), lambda: False, lambda: None)
    journal.close()
    assert (tmp_path / "queue.jsonl").read_bytes() == before
    assert run(tmp_path, FakeSessions()) == ExitCode.OK


def test_a_stop_after_the_target_ends_the_queue_there(tmp_path: Path) -> None:
    sessions = FakeSessions()
    journal = QueueJournal(tmp_path / "queue.jsonl")
    journal.append(QueueOpened(order=ORDER))
    with pytest.raises(QueueEndedError, match="as asked"):
        run_queue(journal, sessions, lambda: len(sessions.runs) == 2, lambda: None)
    journal.close()
    assert sessions.runs == ["p", "q"]
    assert states(tmp_path) == {"p": "A recorded", "q": "A recorded", "r": "waiting"}
