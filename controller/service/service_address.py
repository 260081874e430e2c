"""Address of a running session's service: a private socket, a token, and the process.

The address is written to the session's folder (`run/service.json`) and to the user's private
runtime folder, where `dualtilt attach` finds it without a folder name. Only the user can read
both. The socket is in the runtime folder, because paths of Unix sockets are limited to about
100 bytes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from pydantic import ValidationError

from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.bounded_read import read_bounded, read_whole
from controller.common.errors import UsageError, quoted
from controller.common.open_inside import open_inside
from controller.common.runtime_folder import runtime_folder
from controller.model.base import Data
from controller.model.events import State
from controller.service.status_file import last_status
from controller.session.folder import SessionFolder
from controller.session.folder_lock import lock_holder
from controller.session.grid_folder import folder_to_resume

VERSION = 2
"""Version of the calls between client and service."""
ADDRESS_FILE = Path("run", "service.json")
_SUFFIX = ".session.json"


class NoSessionError(UsageError):
    """No session answers in a folder.

    Parameters
    ----------
    folder
        The folder.

    Attributes
    ----------
    fault, remedy
        The two parts of the message: the fault, and what to do (may be empty).
    """

    def __init__(self, folder: Path) -> None:
        self.fault, self.remedy = _no_session(folder)
        super().__init__("; ".join(filter(None, (self.fault, self.remedy))))


def _no_session(folder: Path) -> tuple[str, str]:
    """Return fault and remedy for a folder in which no session answers."""
    if not (folder / "journal.jsonl").is_file():
        if not (folder / "A.mrc.mdoc").is_file():
            return f"{folder}: holds no session", ""
        fault = f"{folder}: no session is running here, and its journal.jsonl is missing"
        return fault, (
            f"`dualtilt resume {quoted(folder)} --rebuild-journal` makes it again from the images, "
            f"`dualtilt process {quoted(folder)}` processes them"
        )
    if (pid := working_process(folder)) is not None:
        return f"{folder}: process {pid} works here and takes no commands", (
            f"it makes results, or a session is starting: `dualtilt attach {quoted(folder)}` "
            "shows it"
        )
    fault = f"{folder}: no session is running here"
    status = last_status(folder)
    if status is not None and status.state is State.FINISHED:
        if (folder / "report.html").is_file():
            return fault, f"its report is {folder}/report.html"
        return f"{fault}, it is finished", f"`dualtilt report {quoted(folder)}` writes its report"
    return fault, f"`dualtilt resume {quoted(folder_to_resume(folder))}` continues it"


class ServiceAddress(Data):
    """Address of one session's service."""

    folder: Path
    location: str
    """Location as in a Pyro URI: ./u:/path/of/socket, or host:port."""
    token: str
    pid: int
    version: int


def new_token() -> str:
    """Return a new secret for one run of a service."""
    return secrets.token_hex(16)


def socket_path() -> Path:
    """Return a new path for a socket."""
    return runtime_folder() / f"{secrets.token_hex(4)}.sock"


def write_address_for_attach(address: ServiceAddress) -> Path:
    """Write the address where `dualtilt attach` finds it without a folder; return the file."""
    path = runtime_folder() / f"{address.pid}-{secrets.token_hex(2)}{_SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, address.model_dump_json(), OWNER_ONLY)
    return path


def read_address(folder: Path) -> ServiceAddress:
    """Return the address of the session in a folder.

    Raises
    ------
    NoSessionError
        If no session runs there.
    UsageError
        If there is no such folder, or the address cannot be read.
    """
    path = folder / ADDRESS_FILE
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such session folder{_left_behind(folder)}")
    try:
        with open_inside(folder, ADDRESS_FILE) as file:
            return ServiceAddress.model_validate_json(read_whole(file))
    except FileNotFoundError:
        raise NoSessionError(folder) from None
    except (OSError, ValidationError) as error:
        raise UsageError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def _left_behind(folder: Path) -> str:
    """Return the remedy for a folder that was removed or renamed under its running session."""
    pids = [
        address.pid
        for address in known_addresses().values()
        if address.folder == folder.absolute() and is_running(address.pid)
    ]
    if not pids:
        return ""
    return (
        f"; it was removed or renamed while its session runs: put it back, or `kill {pids[0]}` "
        "ends the session with the column safe"
    )


def known_addresses() -> dict[Path, ServiceAddress]:
    """Return the addresses of all sessions of this user, by file; some may have ended."""
    found = {}
    for path in sorted(runtime_folder().glob(f"*{_SUFFIX}")):
        with contextlib.suppress(OSError, ValidationError):
            found[path] = ServiceAddress.model_validate_json(read_bounded(path))
    return found


def working_process(folder: Path) -> int | None:
    """Return the process that works in the folder of a session or of a grid; None if none does."""
    return lock_holder(SessionFolder(folder))


def is_running(pid: int) -> bool:
    """Tell whether a process runs, as far as this user can know."""
    if os.name == "nt":
        return False  # signal 0 is no test there; the address did not answer
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
