"""Limits on the connections of a server, from the number of files that its process may open."""

from __future__ import annotations

import sys
from dataclasses import dataclass

OWN_DESCRIPTORS = 24
"""Files and sockets that a server needs besides its connections."""
DESCRIPTORS_ON_WINDOWS = 1024


@dataclass(frozen=True)
class ConnectionLimits:
    """Largest numbers of connections of one server, and their time limits."""

    unauthenticated: int = 64
    """Connections before their handshake; beyond it the oldest one is closed."""
    admitted: int = 128
    """Connections after their handshake; beyond it the one that is idle longest is closed."""
    per_other_user: int = 16
    """Connections of each other user of this machine; beyond it one of their own is closed."""
    handshake_s: float = 5.0
    """Longest duration of the whole handshake (s)."""
    idle_s: float | None = None
    """Time without a request after which an admitted connection is closed (s); None: never."""


def limits_for(descriptors: int, idle_s: float | None = None) -> ConnectionLimits:
    """Return limits that leave a process with `descriptors` open files enough for itself."""
    free = max(8, descriptors - OWN_DESCRIPTORS)
    return ConnectionLimits(
        unauthenticated=min(ConnectionLimits.unauthenticated, free // 4),
        admitted=min(ConnectionLimits.admitted, free // 2),
        per_other_user=min(ConnectionLimits.per_other_user, max(1, free // 16)),
        idle_s=idle_s,
    )


def open_files_limit() -> int:
    """Return the number of files that this process may open."""
    if sys.platform == "win32":
        return DESCRIPTORS_ON_WINDOWS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS_ON_WINDOWS if soft == resource.RLIM_INFINITY else soft
