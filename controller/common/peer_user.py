"""User at the other end of a local connection."""

from __future__ import annotations

import os
import socket
import struct
import sys

ROOT_UID = 0
_LINUX_CREDENTIALS = struct.Struct("iII")
"""pid, uid, gid."""
_BSD_CREDENTIALS = struct.Struct("II")
"""Version and uid, the first two fields of struct xucred."""
_XUCRED_BYTES, _SOL_LOCAL, _LOCAL_PEERCRED = 76, 0, 1


def peer_uid(sock: socket.socket) -> int | None:
    """Return the user id of the process at the other end; None where the system cannot tell.

    Only Unix sockets of Linux and macOS know it.
    """
    if sock.family != getattr(socket, "AF_UNIX", None):
        return None
    try:
        if hasattr(socket, "SO_PEERCRED"):
            size = _LINUX_CREDENTIALS.size
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            return int(_LINUX_CREDENTIALS.unpack(raw)[1])
        if sys.platform == "darwin":
            raw = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
            return int(_BSD_CREDENTIALS.unpack_from(raw)[1])
    except OSError:  # it has hung up
        pass
    return None


def is_another_user(uid: int | None) -> bool:
    """Tell whether a user id is neither this process's own nor the administrator's."""
    return uid is not None and uid not in (os.geteuid(), ROOT_UID)
