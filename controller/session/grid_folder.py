"""Paths in the folder of a grid with several targets, and the positions kept there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from controller.common.errors import UsageError, quoted
from controller.model.protocol import Protocol, read_protocol
from controller.model.targets import FoundTargets
from controller.session.folder import SessionFolder
from controller.session.read_plain import read_plain
from processing.files.atomic import replace_text

_POSITIONS: TypeAdapter[dict[str, tuple[float, float]]] = TypeAdapter(
    dict[str, tuple[float, float]]
)


@dataclass(frozen=True)
class GridFolder:
    """Paths of a grid's files; making this object touches nothing on disk."""

    path: Path

    @classmethod
    def of_member(cls, session: Path) -> Self:
        """Return the grid to which a session belongs."""
        return cls(session.parent.parent)

    @property
    def protocol(self) -> Path:
        return self.path / "protocol.toml"

    @property
    def journal(self) -> Path:
        return self.path / "queue.jsonl"

    @property
    def status(self) -> Path:
        return self.path / "queue-status.json"

    @property
    def table(self) -> Path:
        return self.path / "targets.csv"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def stop_request(self) -> Path:
        """File that asks for a stop after the present target."""
        return self.path / "stop-after-target"

    @property
    def positions(self) -> Path:
        """Positions of the recorded targets before the flip."""
        return self.path / "positions.json"

    @property
    def found(self) -> Path:
        """Places of the targets after the flip."""
        return self.path / "found.json"

    @property
    def flip(self) -> SessionFolder:
        """Folder of the session that flips the grid."""
        return SessionFolder(self.path / "sessions" / ".flip")

    def target(self, name: str) -> SessionFolder:
        """Return the folder of a target's session."""
        return SessionFolder(self.path / "sessions" / name)

    def read_protocol(self) -> Protocol:
        """Read and check the protocol of the grid; not through a link."""
        return read_protocol(self.protocol, read_plain)

    def write_positions(self, positions_nm: dict[str, tuple[float, float]]) -> None:
        """Keep the stage positions (x, y) at which the targets were recorded before the flip."""
        replace_text(self.positions, _POSITIONS.dump_json(positions_nm, indent=1).decode() + "\n")

    def read_positions(self) -> dict[str, tuple[float, float]]:
        """Return the stage positions before the flip.

        Raises
        ------
        UsageError
            The file is missing or damaged.
        """
        try:
            return _POSITIONS.validate_json(read_plain(self.positions))
        except (OSError, ValidationError):
            raise _damaged(self.positions, self.path) from None

    def write_found(self, found: FoundTargets) -> None:
        """Keep the places of the targets after the flip."""
        replace_text(self.found, found.model_dump_json(indent=1) + "\n")

    def read_found(self) -> FoundTargets | None:
        """Return the places after the flip; None before it.

        Raises
        ------
        UsageError
            The file is damaged.
        """
        try:
            return FoundTargets.model_validate_json(read_plain(self.found))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise _damaged(self.found, self.path) from None


def folder_to_resume(session: Path) -> Path:
    """Return the folder that `dualtilt resume` takes: for a session of a grid, that of the grid."""
    grid = GridFolder.of_member(session)
    return grid.path if grid.journal.exists() else session


def refuse_grid(path: Path) -> None:
    """Refuse the folder of a grid where that of one session is needed.

    Raises
    ------
    UsageError
        The folder is that of a grid; the message names its sessions.
    """
    grid = GridFolder(path)
    if not grid.journal.exists():
        return
    sessions = [each.name for each in (path / "sessions").glob("*") if each.name[0] != "."]
    raise UsageError(
        f"{path}: a grid with several targets; name one of its sessions, {path}/sessions/NAME: "
        f"{', '.join(sorted(sessions)) or 'none was begun yet'}"
    )


def simulator_home(folder: SessionFolder, protocol: Protocol) -> SessionFolder:
    """Return the folder that holds the simulated microscope: one for all sessions of a grid."""
    if protocol.targets is None:
        return folder
    return SessionFolder(GridFolder.of_member(folder.path).path)


def _damaged(path: Path, grid: Path) -> UsageError:
    return UsageError(
        f"{path}: missing or damaged; restore it, then: dualtilt resume {quoted(grid)}"
    )
