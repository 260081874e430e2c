"""Empty folders for the verbs that write many files."""

from __future__ import annotations

from pathlib import Path

from controller.common.errors import UsageError


def empty_folder(path: Path) -> Path:
    """Return the folder, made if need be.

    Raises
    ------
    UsageError
        It holds files, or it cannot be made or read.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"{path}: is not empty; choose a new folder")
    except OSError as error:
        raise UsageError(f"{path}: cannot be made or read: {error.strerror}") from None
    return path
