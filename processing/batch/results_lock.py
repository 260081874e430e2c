"""Lock that lets one process at a time write the results of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from processing.errors import ResultsInUseError
from processing.files.atomic import make_folder, open_plain
from processing.files.exclusive_lock import lock_exclusively, lock_folder
from processing.files.held_folder import FOLDER_FLAGS, NO_LINK, hold, let_go, open_at
from processing.pipeline.results_folder import PROCESSED

LOCK = "lock"
"""Name of the lock file, in `processed` and in the folder of a running session."""


@contextmanager
def results_lock(session: Path) -> Iterator[None]:
    """Keep other batches, and sessions that still record, out of a session's results.

    Its `processed` folder is held open meanwhile, so that no link there is followed. The series
    beside it may be links of the user's.

    The folder itself is locked, which a recording session does too. Where folders cannot be locked
    (NFS), the lock files do it. The system frees all locks of a process that is killed.

    Raises
    ------
    ResultsInUseError
        Another process holds a lock.
    OSError
        The folder cannot be opened, or its `processed` is a link (ELOOP).
    """
    with ExitStack() as held:
        try:
            _lock(session, held)
        except BlockingIOError:
            raise ResultsInUseError(
                f"{session}: another batch or a running session uses this folder; try again later"
            ) from None
        yield


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Lock an existing folder, so that no second process writes results into it meanwhile.

    Folders that cannot be locked (NFS, Windows) are not.

    Raises
    ------
    ResultsInUseError
        Another process holds the lock.
    """
    if os.name == "nt":
        yield
        return
    descriptor = os.open(folder, FOLDER_FLAGS & ~NO_LINK)
    try:
        try:
            lock_folder(descriptor)
        except BlockingIOError:
            raise ResultsInUseError(
                f"{folder}: another process writes results there; choose a new --out folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _lock(session: Path, held: ExitStack) -> None:
    processed = session / PROCESSED
    if os.name == "nt":
        make_folder(processed)
    else:
        descriptor = _opened(session, None, session, held)
        lock_folder(descriptor)
        with suppress(FileExistsError):
            os.mkdir(PROCESSED, dir_fd=descriptor)
        results = _opened(PROCESSED, descriptor, processed, held)
        hold(processed, results)
        held.callback(let_go, processed, results)
    of_session = session / LOCK
    if of_session.exists():
        lock_exclusively(held.enter_context(open_plain(of_session, "r+b")))
    lock_exclusively(held.enter_context(open_plain(processed / LOCK, "a+b")))


def _opened(name: str | Path, inside: int | None, path: Path, held: ExitStack) -> int:
    descriptor = open_at(str(name), FOLDER_FLAGS, inside, path)
    held.callback(os.close, descriptor)
    return descriptor
