"""Paths in a session's folder, and the lock that keeps a second run out of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from controller.common.errors import UsageError
from controller.model.base import SeriesName
from controller.model.protocol import Protocol, read_protocol
from controller.session.errors import SessionInUseError
from processing.files.atomic import replace_text


@dataclass(frozen=True)
class SessionFolder:
    """Paths of all files of one session; making this object touches nothing on disk."""

    path: Path

    @classmethod
    def create(cls, path: Path, protocol_text: str) -> Self:
        """Make the folder of a new session.

        Parameters
        ----------
        path
            A folder that does not exist or is empty.
        protocol_text
            TOML, written unchanged to protocol.toml.

        Raises
        ------
        UsageError
            The folder is not empty, or cannot be made.
        """
        folder = cls(path)
        if folder.journal.exists():
            raise UsageError(f"{path}: already holds a session; use: dualtilt resume {path}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(item.name not in _ALLOWED_IN_NEW_FOLDER for item in path.iterdir()):
                raise UsageError(f"{path}: is not empty; choose a new folder for the session")
            replace_text(folder.protocol, protocol_text)
            folder.make_subfolders()
        except OSError as error:
            raise UsageError(f"{path}: cannot be made or written: {error.strerror}") from None
        return folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the folder of an existing session.

        Raises
        ------
        UsageError
            The folder holds no session.
        """
        folder = cls(path)
        if not (folder.journal.is_file() and folder.protocol.is_file()):
            raise UsageError(f"{path}: holds no session; start one with: dualtilt run PROTOCOL")
        folder.make_subfolders()
        return folder

    def make_subfolders(self) -> None:
        """Make the subfolders that other parts of the program write into."""
        for folder in (self.previews, self.processed, self.run):
            folder.mkdir(exist_ok=True)
        if os.name != "nt":
            self.run.chmod(0o700)  # it holds sockets and secrets

    def read_protocol(self) -> Protocol:
        """Read the protocol of the session."""
        return read_protocol(self.protocol)

    @property
    def protocol(self) -> Path:
        return self.path / "protocol.toml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def processed(self) -> Path:
        return self.path / "processed"

    @property
    def previews(self) -> Path:
        """Images for the screen."""
        return self.path / "previews"

    @property
    def maps(self) -> Path:
        """Survey images around the flip."""
        return self.path / "maps"

    @property
    def rejected(self) -> Path:
        """Frames that were rejected and retaken."""
        return self.path / "rejected"

    @property
    def quarantine(self) -> Path:
        """Bytes found on disk that the journal does not know."""
        return self.path / "quarantine"

    @property
    def simulator(self) -> Path:
        """Settings and state of the simulated microscope."""
        return self.path / "simulator"

    @property
    def faults(self) -> Path:
        """Fault lists, if the session is a rehearsal."""
        return self.simulator / "faults"

    @property
    def run(self) -> Path:
        """Sockets and connection files of the running session."""
        return self.path / "run"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def ballast(self) -> Path:
        """File that reserves disk space for the frames still to be recorded."""
        return self.path / "ballast"

    def stack(self, series: SeriesName) -> Path:
        return self.path / f"{series}.mrc"

    def mdoc(self, series: SeriesName) -> Path:
        return self.path / f"{series}.mrc.mdoc"

    def rawtlt(self, series: SeriesName) -> Path:
        return self.path / f"{series}.rawtlt"


_ALLOWED_IN_NEW_FOLDER = {"protocol.toml", "simulator", "run", "lock", "previews", "processed"}
"""Files that may lie in the folder of a new session: a refused start leaves them."""


class FolderLock:
    """Lock of the one run that may write in a folder; the system frees it if the run is killed.

    Raises
    ------
    SessionInUseError
        Another run holds the lock; the message names its process id.
    """

    def __init__(self, folder: SessionFolder) -> None:
        self._file = folder.lock.open("a+b", buffering=0)
        try:
            _lock(self._file)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(32).decode(errors="replace").strip() or "unknown"
            self._file.close()
            raise SessionInUseError(
                f"{folder.path}: another run is using this folder (process {holder}); "
                f"to watch it: dualtilt attach {folder.path}"
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Free the lock."""
        self._file.close()


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
                shutil.rmtree(item)
            elif item != folder.lock:  # held until everything else is removed
                item.unlink()
    finally:
        lock.release()
    shutil.rmtree(folder.path)
    return True


def _has_recorded(folder: SessionFolder) -> bool:
    """Tell whether anything was recorded, or the journal has more than its opening line."""
    recorded = (folder.stack("A"), folder.stack("B"), folder.maps, folder.rejected)
    if any(path.exists() for path in recorded):
        return True
    return folder.journal.exists() and folder.journal.read_bytes().count(b"\n") > 1


if os.name == "nt":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(1_000)  # a byte far behind the process id, so that others can read the id
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
