"""Address of a bridge: sockets, secrets and the connection file."""

from __future__ import annotations

import ipaddress
import os
import secrets
import shlex
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.bounded_read import read_bounded
from controller.common.errors import BridgeError, UsageError
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import MicroscopeError
from controller.model.base import Data

SOCKET_PATH_LIMIT_BYTES = 100
"""Longest path of a Unix socket; operating systems allow 104 to 108 bytes."""


class BridgeRefusedError(BridgeError, MicroscopeError):
    """The bridge cannot be found, or it refuses this client."""


class BridgeAddress(Data):
    """Address for a client: a Unix socket, or a host and port, with the credentials."""

    socket_path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    secret_path: Path | None = None
    """File with the shared secret, for a bridge on this machine."""
    certs: Path | None = None
    """Folder with cert.pem, key.pem and peer.pem, for a bridge on another machine."""

    def __str__(self) -> str:
        return str(self.socket_path) if self.socket_path else f"{self.host}:{self.port}"


class ConnectionFile(Data):
    """Content of the file that a bridge writes when it is ready, for its clients.

    For a bridge on another machine the file is written together with the certificates and contains
    no process id. Paths are relative to the folder of the file.
    """

    address: BridgeAddress
    pid: int = 0
    boot_id: str = ""


@dataclass(frozen=True)
class ListenAddress:
    """Address to listen on: `socket_path`, or else `host` and `port` (0: any free port)."""

    socket_path: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    certs: Path | None = None

    def __str__(self) -> str:
        return str(self.socket_path) if self.socket_path else f"{self.host}:{self.port}"


def check_listen_address(address: ListenAddress) -> None:
    """Refuse an address that other machines can reach, unless there are certificates.

    Raises
    ------
    UsageError
        If the host is not loopback and there are no certificates.
    """
    if address.socket_path is None and address.certs is None and not is_loopback(address.host):
        raise UsageError(
            f"refusing to listen on {address.host} without certificates: make them with "
            "`dualtilt bridge --make-certs DIR` and pass `--certs DIR/bridge`"
        )


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine and cannot be reached from another one."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def private_folder(folder: Path) -> Path:
    """Make `folder` with mode 0700, or check that only this user can enter it.

    Raises
    ------
    BridgeError
        If other users can enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        state = folder.stat()
        if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
            raise BridgeError(f"folder {folder} is open to others: chmod 700 it, or choose another")
    return folder


def check_secret_file(path: Path) -> None:
    """Check that only this user can read a key or a secret.

    Raises
    ------
    BridgeRefusedError
        If it belongs to somebody else, or others may read it; the message names the command.
    """
    if os.name != "posix":
        return
    state = path.stat()
    if state.st_uid != os.getuid():
        raise BridgeRefusedError(f"{path} belongs to another user: make new certificates")
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise BridgeRefusedError(f"others may read {path}: `chmod 600 {shlex.quote(str(path))}`")


def free_socket_path(path: Path) -> Path:
    """Check that a bridge can listen at `path`; remove the socket of a dead bridge.

    Raises
    ------
    BridgeError
        If a bridge already listens there, or the path is too long for a socket.
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


def new_secret(path: Path) -> str:
    """Write a new secret to `path`, readable by its owner only, and return it."""
    secret = secrets.token_urlsafe(32)
    replace_text(path, secret, OWNER_ONLY)
    return secret


def read_secret(path: Path | None) -> str:
    """Read the secret that a client has to send; empty if it uses a certificate instead.

    Raises
    ------
    BridgeRefusedError
        If it cannot be read, or others may read it.
    """
    if path is None:
        return ""
    try:
        check_secret_file(path)
        return read_bounded(path).decode(errors="replace").strip()
    except OSError as error:
        raise BridgeRefusedError(f"the bridge's secret {path} cannot be read: {error}") from error


def read_connection_file(path: Path) -> ConnectionFile:
    """Read the connection file of a bridge.

    Raises
    ------
    BridgeRefusedError
        If it is missing or damaged.
    """
    try:
        found = ConnectionFile.model_validate_json(read_bounded(path))
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
