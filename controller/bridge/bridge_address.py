"""Where a bridge listens and how a client finds it: sockets, secrets, the connection file."""

from __future__ import annotations

import getpass
import ipaddress
import os
import secrets
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from controller.common.errors import BridgeError
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import MicroscopeError
from controller.model.base import Data

SOCKET_PATH_LIMIT_BYTES = 100
"""The system's limit for a Unix socket's path is 104 to 108."""


class BridgeRefusedError(BridgeError, MicroscopeError):
    """The bridge is there but does not let this client in."""


class BridgeAddress(Data):
    """All a client needs to reach a bridge: a Unix socket, or a host and port."""

    socket_path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    secret_path: Path | None = None
    """File with the shared secret; local bridges."""
    certs: Path | None = None
    """Folder with cert.pem, key.pem and peer.pem; bridges on another machine."""

    def __str__(self) -> str:
        return str(self.socket_path) if self.socket_path else f"{self.host}:{self.port}"


class ConnectionFile(Data):
    """What a bridge writes once it is ready, so that whoever started it can connect.

    On another machine it is written with the certificates, and names no process. Paths are
    relative to its folder.
    """

    address: BridgeAddress
    pid: int = 0
    boot_id: str = ""


@dataclass(frozen=True)
class ListenAddress:
    """Where to listen: `socket_path`, else `host` and `port` (0: any free one)."""

    socket_path: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    certs: Path | None = None

    def __str__(self) -> str:
        return str(self.socket_path) if self.socket_path else f"{self.host}:{self.port}"


def check_listen_address(place: ListenAddress) -> None:
    """Refuse to listen where anybody could come in.

    Raises
    ------
    BridgeError
        Beyond loopback without certificates.
    """
    if place.socket_path is None and place.certs is None and not is_loopback(place.host):
        raise BridgeError(
            f"refusing to listen on {place.host} without certificates: make them with "
            "`dualtilt bridge --make-certs DIR` and pass `--certs DIR/bridge`"
        )


def default_folder() -> Path:
    """Return the folder for this user's local bridge."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("LOCALAPPDATA")
    if runtime:
        return Path(runtime) / "dualtilt"
    return Path(tempfile.gettempdir()) / f"dualtilt-{getpass.getuser()}"


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine and reachable from nowhere else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def private_folder(folder: Path) -> Path:
    """Make `folder` with mode 0700, or make sure that it is ours alone.

    Raises
    ------
    BridgeError
        If others may enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        state = folder.stat()
        if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
            raise BridgeError(f"folder {folder} is open to others: chmod 700 it, or choose another")
    return folder


def free_socket_path(path: Path) -> Path:
    """Make sure a bridge can listen at `path`; a dead bridge's socket is removed.

    Raises
    ------
    BridgeError
        If a bridge answers there, or the path is too long for a socket.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT_BYTES:
        raise BridgeError(f"socket path {path} is too long: choose a shorter one")
    private_folder(path.parent)
    if not path.exists():
        return path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return path
    raise BridgeError(f"a bridge is already listening on {path}: stop it first")


def write_privately(path: Path, text: str) -> None:
    """Write `path` whole or not at all, readable by its owner only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(temporary).replace(path)


def new_secret(path: Path) -> str:
    """Write a fresh secret to `path` and return it."""
    secret = secrets.token_urlsafe(32)
    write_privately(path, secret)
    return secret


def read_secret(path: Path | None) -> str:
    """Read the secret a client has to show; none where a certificate does.

    Raises
    ------
    BridgeRefusedError
        If it cannot be read.
    """
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BridgeRefusedError(f"the bridge's secret {path} cannot be read: {error}") from error


def read_connection_file(path: Path) -> ConnectionFile:
    """Read what a bridge wrote about itself.

    Raises
    ------
    BridgeRefusedError
        If it is missing or damaged.
    """
    try:
        found = ConnectionFile.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BridgeRefusedError(f"no bridge: connection file {path}: {error.strerror}") from error
    except ValidationError as error:
        raise BridgeRefusedError(f"connection file {path}: {errors_in_one_line(error)}") from error
    paths = {
        name: path.parent / value
        for name in ("socket_path", "secret_path", "certs")
        if (value := getattr(found.address, name)) is not None
    }
    return found.model_copy(update={"address": found.address.model_copy(update=paths)})
