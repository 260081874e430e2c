"""Lock that lets one process at a time write the results of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from processing.errors import ResultsInUseError
from processing.files.atomic import open_plain
from processing.files.exclusive_lock import lock_exclusively, lock_folder
from processing.files.held_folder import FOLDER_FLAGS
from processing.pipeline.results_folder import PROCESSED

LOCK = "lock"
"""Name of the lock file, in `processed` and in the folder of a running session."""


@contextmanager
def results_lock(session: Path) -> Iterator[None]:
    """Keep other batches, and sessions that still record, out of a session's results.

    The folder itself is locked, which a recording session does too. Where folders cannot be locked
    (NFS), the lock files do it. The system frees all locks of a process that is killed.

    Raises
    ------
    ResultsInUseError
        Another process holds a lock.
    """
    with ExitStack() as held:
        try:
            _lock(session, held)
        except BlockingIOError:
            raise ResultsInUseError(
                f"{session}: another batch or a running session uses this folder; try again later"
            ) from None
        yield


def _lock(session: Path, held: ExitStack) -> None:
    if os.name != "nt":
        descriptor = os.open(session, FOLDER_FLAGS)
        held.callback(os.close, descriptor)
        lock_folder(descriptor)
    of_session = session / LOCK
    if of_session.exists():
        lock_exclusively(held.enter_context(open_plain(of_session, "r+b")))
    processed = session / PROCESSED
    processed.mkdir(exist_ok=True)
    lock_exclusively(held.enter_context(open_plain(processed / LOCK, "a+b")))
