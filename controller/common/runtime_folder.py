"""The user's private folder for sockets, secrets and addresses of bridges and sessions."""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

LONGEST_PATH_BYTES = 76
"""Longest path of the folder; those of the sockets in it are longer by 24, and may have 100."""
SHORT_TEMP = Path("/tmp")


def runtime_folder() -> Path:
    """Return the user's private folder; create it with mode 0700.

    A folder of that name that belongs to somebody else, or that others may enter, is left alone:
    the next one is taken, and named. One whose path is too long for sockets is left out.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "dualtilt" / "run"
        base.mkdir(parents=True, exist_ok=True)
        return base
    squatted: list[Path] = []
    for folder in _candidates():
        if _private(folder):
            for other in squatted:
                _name(other, folder)
            return folder
        squatted.append(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f"{_in_temp().name}-", dir=_in_temp().parent))
    for other in squatted:
        _name(other, fresh)
    return fresh


@lru_cache
def _name(squatted: Path, used: Path) -> None:
    """Say once which folder is used instead of another one."""
    log.warning("%s is not yours alone: %s is used instead", squatted, used)


def _candidates() -> Iterator[Path]:
    """Yield the folders in the order in which they are tried; every process finds the same."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir() and _is_short(Path(runtime) / "dualtilt"):
        yield Path(runtime) / "dualtilt"
    standard = _in_temp()
    yield standard
    yield from sorted(standard.parent.glob(f"{standard.name}-*"))


def _in_temp() -> Path:
    name = f"dualtilt-{os.getuid()}"
    usual = Path(tempfile.gettempdir()) / name
    return usual if _is_short(usual) else SHORT_TEMP / name


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder)) <= LONGEST_PATH_BYTES


def _private(folder: Path) -> bool:
    """Make `folder` if it does not exist; tell whether only this user can enter it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return mine and not found.st_mode & 0o077
