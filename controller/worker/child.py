"""The processing child: `python -m controller.worker.child live|count|jobs FOLDER`.

It reads tasks from stdin, one JSON line each, and writes its messages to stdout. It is started in
the session's folder, holds it open and works there alone. It ends when its stdin does, so that no
orphan writes in the folder beside a new child.
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

from controller.common.errors import os_error_text
from controller.worker.child_messages import TASK, AnyTask, Ended, Published, Working
from processing.files.held_folder import held

Send = Callable[[Working | Published | Ended], None]
Handler = Callable[[AnyTask], Ended]

NICENESS = {"live": 3, "count": 19, "jobs": 5}
"""Niceness by role: acquisition comes first, then the short live work, then the final results.
Live counts come last: a later one replaces them."""


def main(role: str, folder: Path) -> None:
    """Serve tasks until stdin ends; the current folder is `folder`, whatever its path leads to."""
    send = reserve_stdout()
    _lower_priority(role)
    tasks: queue.SimpleQueue[AnyTask] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()
    with held(folder, reached_by=Path()):
        # imported by name, so that the live child starts fast, without the imports of the jobs
        handle: Handler = importlib.import_module(f"controller.worker.{role}").handler(folder, send)
        while True:
            send(_run_task(handle, tasks.get()))


def reserve_stdout() -> Send:
    """Reserve stdout for messages to the session; prints of libraries go to stderr."""
    lines: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(message: Working | Published | Ended) -> None:
        with lock:
            lines.write(message.model_dump_json() + "\n")
            lines.flush()

    return send


def _lower_priority(role: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session handles Ctrl-C
    if hasattr(os, "nice"):
        os.nice(NICENESS[role])


def _read_tasks(tasks: queue.SimpleQueue[AnyTask]) -> None:
    for line in sys.stdin:
        tasks.put(TASK.validate_json(line))
    os._exit(0)  # the session has ended or closed this child, perhaps during a task


def _run_task(handle: Handler, task: AnyTask) -> Ended:
    try:
        return handle(task)
    except MemoryError:
        return Ended(ok=False, reason="out of memory; lower processing.memory_limit_GB")
    except OSError as error:
        return Ended(ok=False, reason=os_error_text(error))
    except Exception as error:  # noqa: BLE001 - the child survives any task
        return Ended(ok=False, reason=describe_error(error))


def describe_error(error: Exception) -> str:
    """Return type and message of an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
