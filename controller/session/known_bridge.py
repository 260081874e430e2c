"""Connection file of the bridge of a session's last run: `dualtilt resume` need not be told it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from controller.session.folder import SessionFolder
from controller.session.read_plain import read_plain
from processing.files.atomic import replace_text


def remember_bridge(folder: SessionFolder, connection_file: Path | None) -> None:
    """Note the connection file of a run; without a note, only the next resume has to name it."""
    if connection_file is None:
        return
    with suppress(OSError):
        folder.run.mkdir(mode=0o700, exist_ok=True)
        replace_text(folder.known_bridge, f"{connection_file.absolute()}\n")


def known_bridge(folder: SessionFolder) -> Path | None:
    """Return the connection file of the last run at a bridge; None if none is known."""
    try:
        text = read_plain(folder.known_bridge).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text) if text else None
