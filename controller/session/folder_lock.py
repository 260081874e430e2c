"""Lock that keeps a second run out of a session's folder."""

from __future__ import annotations

import os
import shutil

from controller.common.errors import quoted
from controller.session.errors import SessionInUseError
from controller.session.folder import SessionFolder
from controller.session.private_folder import require_private, require_private_at
from processing.files.atomic import open_plain, remove_file, remove_tree
from processing.files.exclusive_lock import lock_exclusively, lock_folder
from processing.files.held_folder import FOLDER_FLAGS, hold, let_go


class FolderLock:
    """Lock of the one run that may write in a folder; the system frees it if the run is killed.

    Where the system allows it, the folder itself is locked, too: removing the file `lock` then
    admits nobody.

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
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())
        except BlockingIOError:
            self.release()
            raise _in_use(folder) from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Free the lock, and let go of the folder."""
        self._file.close()
        self._close_folder()

    def _close_folder(self) -> None:
        if self._descriptor is not None:
            let_go(self._path, self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


def _in_use(folder: SessionFolder) -> SessionInUseError:
    try:
        with open_plain(folder.lock, "rb") as file:
            holder = file.read(32).decode(errors="replace").strip() or "unknown"
    except OSError:
        holder = "unknown"
    return SessionInUseError(
        f"{folder.path}: another run is using this folder (process {holder}); "
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
    try:
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
    finally:
        lock.release()
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
