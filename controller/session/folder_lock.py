"""Lock that keeps a second run out of a session's folder."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from types import TracebackType
from typing import Self

from controller.common.bounded_read import read_whole
from controller.common.errors import UsageError, quoted
from controller.common.open_inside import open_inside
from controller.session.errors import SessionInUseError
from controller.session.folder import SessionFolder
from controller.session.private_folder import require_private, require_private_at
from processing.files.atomic import open_plain, remove_file, remove_tree
from processing.files.exclusive_lock import is_locked, lock_exclusively, lock_folder
from processing.files.held_folder import FOLDER_FLAGS, hold, let_go


class FolderLock:
    """Lock of the one run that may write in a folder; the system frees it if the run is killed.

    Where the system allows it, the folder itself is locked, too: removing the file `lock` then
    admits nobody. As a context, the lock is freed at its end.

    Raises
    ------
    SessionInUseError
        Another run holds the lock; the message names its process id.
    UsageError
        The folder is not private.
    """

    def __init__(self, folder: SessionFolder) -> None:
        self._path = folder.path
        self._descriptor = _open_folder(folder)
        try:
            self._file = open_plain(folder.lock, "a+b")
        except OSError:
            self._close_folder()
            raise
        try:
            lock_exclusively(self._file)
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise _in_use(folder) from None
            raise

    def release(self) -> None:
        """Free the lock, and let go of the folder."""
        self._file.close()
        self._close_folder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _close_folder(self) -> None:
        if self._descriptor is not None:
            let_go(self._path, self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


def lock_holder(folder: SessionFolder) -> int | None:
    """Return the id of the process that holds the lock of a folder; None if nobody holds it."""
    # a killed process leaves its id behind, and the system may give the id to another one
    with (
        suppress(OSError, ValueError, UsageError),
        open_inside(folder.path, folder.lock.name) as file,
    ):
        return int(read_whole(file)) if is_locked(file) else None
    return None


def _in_use(folder: SessionFolder) -> SessionInUseError:
    return SessionInUseError(
        f"{folder.path}: another run is using this folder "
        f"(process {lock_holder(folder) or 'unknown'}); "
        f"to watch it: dualtilt attach {quoted(folder.path)}"
    )


def remove_if_unused(folder: SessionFolder) -> bool:
    """Remove the folder of a session that was refused before it recorded anything.

    Returns
    -------
    bool
        False if a run uses the folder or anything was recorded in it; nothing is removed then.
    """
    try:
        lock = FolderLock(folder)
    except (SessionInUseError, OSError):
        return False
    with lock:
        if _has_recorded(folder):
            return False
        for item in folder.path.iterdir():
            if item.is_dir():
                remove_tree(item)
            elif item != folder.lock:
                remove_file(item)
        if os.name != "nt":
            remove_file(folder.lock)
            folder.path.rmdir()
    if os.name == "nt":  # an open file cannot be removed there
        shutil.rmtree(folder.path)
    return True


def _has_recorded(folder: SessionFolder) -> bool:
    """Tell whether anything was recorded, or the journal has more than its opening line."""
    recorded = (folder.stack("A"), folder.stack("B"), folder.maps, folder.rejected)
    if any(path.exists() for path in recorded):
        return True
    return folder.journal.exists() and folder.journal.read_bytes().count(b"\n") > 1


if os.name == "nt":

    def _open_folder(folder: SessionFolder) -> int | None:
        return None

else:

    def _open_folder(folder: SessionFolder) -> int | None:
        """Open, check, lock and hold the folder; return its descriptor.

        Raises
        ------
        SessionInUseError
            Another run holds the lock.
        """
        require_private(folder.path)
        descriptor = os.open(folder.path, FOLDER_FLAGS)
        try:
            require_private_at(folder.path, descriptor)
            lock_folder(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise _in_use(folder) from None
        except BaseException:
            os.close(descriptor)
            raise
        hold(folder.path, descriptor)
        return descriptor
