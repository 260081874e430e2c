"""Status that a session leaves in its folder, for everybody who finds no session running there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from controller.common.bounded_read import read_whole
from controller.common.open_inside import open_inside
from controller.service.session_status import SessionStatus


def last_status(folder: Path) -> SessionStatus | None:
    """Return the status that a session left on disk; None if it is missing or unreadable."""
    with contextlib.suppress(OSError, ValueError), open_inside(folder, "status.json") as file:
        return SessionStatus.model_validate_json(read_whole(file))
    return None
