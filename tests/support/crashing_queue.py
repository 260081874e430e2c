"""Run queues of targets that are killed (-9) at given writes of their journal.

``python -m tests.support.crashing_queue FOLDER MOMENTS`` runs a queue in FOLDER/<number> for each
of MOMENTS crash points, counted because two threads write the journal. Each runs in a fork of this
process, which has already imported everything. Sessions are lines in a file of the queue's folder,
so that they survive the queue as real ones do.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from controller.app.run_queue import Outcome, run_queue
from controller.common.exit_codes import ExitCode
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.queue_journal import GridFlipped, QueueJournal, QueueOpened

ORDER = ("p", "q", "r")
LOST = "q"
"""Target whose object is not found."""


class SessionsOnDisk:
    """Sessions of a queue: each series, flip and result is a line in `done.txt`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "done.txt"

    @property
    def done(self) -> list[str]:
        """Lines in the order in which they were written."""
        return self._path.read_text().split() if self._path.exists() else []

    def run_target(self, name: str) -> Outcome:
        if name == LOST:
            return Outcome(ExitCode.SAFETY, "lost")
        series = "B" if "flip" in self.done else "A"
        self._do(f"{name}{series}")
        return Outcome(ExitCode.OK, recorded=frozenset("AB" if series == "B" else "A"))

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        self._do("flip")
        return Outcome(ExitCode.OK), GridFlipped(order=recorded[::-1], detail="flipped")

    def make_results(self, name: str) -> Outcome:
        self._do(f"results-{name}")
        return Outcome(ExitCode.OK)

    def _do(self, what: str) -> None:
        """Add a line; a session that is complete already does nothing more."""
        if what not in self.done:
            with self._path.open("a") as file:
                file.write(f"{what}\n")


def run(folder: Path, crash_point: CrashPoint = no_crash) -> ExitCode:
    """Run or resume a queue; return its exit code."""
    journal = QueueJournal(folder / "queue.jsonl", crash_point)
    try:
        if not journal.state.targets:
            journal.append(QueueOpened(order=ORDER))
        sessions = SessionsOnDisk(folder)
        return run_queue(journal, sessions, lambda: False, lambda: None, lambda _: None)
    finally:
        journal.close()


def run_until(folder: Path, moment: int) -> None:
    """Run a queue that is killed at its crash point number `moment`, from 0."""
    passed = itertools.count()

    def crash_point(_: str) -> None:
        if next(passed) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir()
    run(folder, crash_point)


def main(folder: Path, moments: int) -> None:
    with TemporaryDirectory() as name:
        run(Path(name))
    for moment in range(moments):
        child = os.fork()
        if child == 0:
            run_until(folder / str(moment), moment)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"crash point {moment} was not reached")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
