"""Paths in a session's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from controller.common.errors import UsageError, quoted
from controller.model.base import SeriesName
from controller.model.protocol import Protocol, read_protocol
from controller.session.private_folder import require_private
from controller.session.read_plain import read_plain
from processing.files.atomic import replace_text

NOT_FOR_OTHERS_TO_WRITE = 0o755
"""Permissions of a new folder; the process's umask narrows them."""


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
            A folder that does not exist, or an empty one of the user's own.
        protocol_text
            TOML, written unchanged to protocol.toml.

        Raises
        ------
        UsageError
            The folder is not empty or not private, or cannot be made.
        """
        folder = cls(path)
        if folder.journal.exists():
            raise UsageError(
                f"{path}: already holds a session; choose a new folder, or continue that session: "
                f"dualtilt resume {quoted(path)}"
            )
        try:
            path.mkdir(mode=NOT_FOR_OTHERS_TO_WRITE, parents=True, exist_ok=True)
            require_private(path)
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
            The folder holds no session or is not private.
        """
        folder = cls(path)
        if not path.exists():
            raise UsageError(f"{path}: no such folder")
        if not folder.journal.is_file() and folder.has_series:
            raise UsageError(
                f"{path}: its journal.jsonl is missing; restore it from a copy, or make it again "
                f"from the images: dualtilt resume {quoted(path)} --rebuild-journal"
            )
        if folder.journal.is_file() and not folder.protocol.is_file():
            raise UsageError(
                f"{path}: its protocol.toml is missing; restore it from a copy, or put back the "
                "protocol that the session was started with"
            )
        if not folder.journal.is_file():
            raise UsageError(f"{path}: holds no session; start one with: dualtilt run PROTOCOL")
        folder.make_subfolders()
        return folder

    @classmethod
    def open_to_rebuild(cls, path: Path) -> Self:
        """Open the folder of a session whose journal is rebuilt; an empty one if it is missing.

        An empty journal beside images is taken for damaged, never for that of a new session.

        Raises
        ------
        UsageError
            The folder holds no session or is not private.
        """
        folder = cls(path)
        if folder.has_series and not folder.journal.exists():
            folder.journal.touch()
        return cls.open(path)

    def make_subfolders(self) -> None:
        """Make the subfolders that other parts of the program write into.

        Raises
        ------
        UsageError
            The folder is not private.
        """
        require_private(self.path)
        for folder in (self.previews, self.processed, self.run):
            folder.mkdir(mode=NOT_FOR_OTHERS_TO_WRITE, exist_ok=True)
        if os.name != "nt":
            self.run.chmod(0o700)  # it holds sockets and secrets

    def read_protocol(self) -> Protocol:
        """Read the protocol of the session."""
        return read_protocol(self.protocol, read_plain)

    @property
    def has_series(self) -> bool:
        """True if a series was begun here: protocol and images lie in the folder."""
        return self.protocol.is_file() and any(
            path.is_file() for path in (self.mdoc("A"), self.mdoc("B"))
        )

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
    def known_bridge(self) -> Path:
        """Path of the connection file of the last run's bridge."""
        return self.run / "bridge"

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
