"""Where a running session can be reached: a private socket, a token, and who wrote it.

The address lies in the session's folder (`run/service.json`) and, so that `attach` finds it
without being told where, in the user's private runtime folder. Both can be read by the user only.
The socket lies in the runtime folder, since paths of Unix sockets are limited to about 100 bytes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.errors import UsageError
from controller.model.base import Data

VERSION = 2
"""Of the methods between service and client."""
ADDRESS_FILE = Path("run", "service.json")
_SUFFIX = ".session.json"


class Address(Data):
    """How to reach one session's service."""

    folder: Path
    location: str
    """As in a Pyro URI: ./u:/path/of/socket, or host:port."""
    token: str
    pid: int
    version: int


def runtime_folder() -> Path:
    """The user's private folder for sockets; made with mode 0700.

    Raises
    ------
    UsageError
        When it belongs to somebody else or others may enter it.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "dualtilt" / "run"
        base.mkdir(parents=True, exist_ok=True)
        return base
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = (
        Path(runtime) / "dualtilt"
        if Path(runtime).is_dir() and runtime
        else Path(tempfile.gettempdir()) / f"dualtilt-{os.getuid()}"
    )
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UsageError(f"{base}: must be a folder that only you can enter: remove it")
    return base


def new_token() -> str:
    """A secret for one run of a service."""
    return secrets.token_hex(16)


def socket_path() -> Path:
    """A fresh name for a socket."""
    return runtime_folder() / f"{secrets.token_hex(4)}.sock"


def write_address(address: Address) -> list[Path]:
    """Make a session known; returns the files to remove when it ends."""
    copies = [
        address.folder / ADDRESS_FILE,
        runtime_folder() / f"{address.pid}-{secrets.token_hex(2)}{_SUFFIX}",
    ]
    for path in copies:
        _write_private(path, address.model_dump_json())
    return copies


def read_address(folder: Path) -> Address:
    """The address of the session in a folder.

    Raises
    ------
    UsageError
        Where no session has been started there.
    """
    path = folder / ADDRESS_FILE
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such session folder")
    try:
        return Address.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(not_running(folder)) from None
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def known_addresses() -> dict[Path, Address]:
    """Every session this user has announced, by the file that says so; some may be gone."""
    found = {}
    for path in sorted(runtime_folder().glob(f"*{_SUFFIX}")):
        with contextlib.suppress(OSError, ValidationError):
            found[path] = Address.model_validate_json(path.read_bytes())
    return found


def not_running(folder: Path) -> str:
    """What to say where no session answers."""
    if not (folder / "journal.jsonl").is_file():
        return f"{folder}: holds no session"
    if (folder / "report.html").is_file():
        return f"{folder}: no session is running here; what it left is in {folder}/report.html"
    return f"{folder}: no session is running here; `dualtilt resume {folder}` goes on with one"


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, text, OWNER_ONLY)
