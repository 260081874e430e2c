"""The processing child: `python -m controller.worker.child live|count|jobs FOLDER`.

Reads tasks on stdin, one JSON line each, and reports on stdout. It works from the session's
folder alone and ends when its stdin does, so that an orphan never writes beside its successor.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from controller.worker.messages import TASK, AnyTask, Ended, Said, Working

Reporter = Callable[[Working | Said | Ended], None]
Handler = Callable[[AnyTask], Ended]

NICENESS = {"live": 3, "count": 5, "jobs": 5}
"""Acquisition comes first, then the live picture, which takes little, then what takes seconds."""


def main(role: str, folder: Path) -> None:
    """Serve tasks until stdin ends."""
    report = claim_stdout()
    _step_back(role)
    tasks: queue.SimpleQueue[AnyTask] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()
    # by name: the live child starts without the weight of the jobs'
    handle: Handler = importlib.import_module(f"controller.worker.{role}").handler(folder, report)
    while True:
        report(_carry_out(handle, tasks.get()))


def claim_stdout() -> Reporter:
    """Keep the real stdout for reports; whatever libraries print goes to stderr."""
    lines: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def report(message: Working | Said | Ended) -> None:
        with lock:
            lines.write(message.model_dump_json() + "\n")
            lines.flush()

    return report


def _step_back(role: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session to answer
    if hasattr(os, "nice"):
        os.nice(NICENESS[role])


def _read_tasks(tasks: queue.SimpleQueue[AnyTask]) -> None:
    for line in sys.stdin:
        tasks.put(TASK.validate_json(line))
    os._exit(0)  # the session is gone or done with us, in the middle of a task or not


def _carry_out(handle: Handler, task: AnyTask) -> Ended:
    try:
        return handle(task)
    except MemoryError:
        return Ended(ok=False, reason="out of memory; lower processing.memory_limit_GB")
    except Exception as error:  # noqa: BLE001 - the child outlives any task
        return Ended(ok=False, reason=first_line(error))


def first_line(error: Exception) -> str:
    """What a person is told of an error."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
