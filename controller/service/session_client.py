"""Client of a running session, used by screens and commands.

A client belongs to the thread that opened it. Opening one takes a few milliseconds, so each
thread that sends a command opens its own.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import Pyro5.errors
from Pyro5.callcontext import current_context

from controller.common import rpc
from controller.common.errors import DualtiltError, UsageError, quoted
from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import RECORD, Record
from controller.service.previews import Picture
from controller.service.remote_objects import CONTROL, MAX_WAIT_S, PIXELS, VIEW
from controller.service.service_address import (
    VERSION,
    NoSessionError,
    ServiceAddress,
    is_running,
    known_addresses,
    read_address,
    working_process,
)
from controller.service.session_status import SessionStatus
from controller.service.status_file import last_status
from controller.session.grid_folder import folder_to_resume

EXIT_CODE_WITHIN_S = 20.0
"""Longest time from a session's last event to its exit code on disk (s)."""
TIMEOUT_S = 10.0
"""Longest time for one call (s)."""


ATTEMPTS = 2
"""Number of attempts to connect: the first may meet a session that is just ending."""
RETRY_AFTER_S = 0.1


class SessionGoneError(DualtiltError):
    """The session's process no longer answers.

    Parameters
    ----------
    folder
        Folder of the session.

    Attributes
    ----------
    fault, remedy
        The two parts of the message: the fault, and what to do.
    """

    exit_code = ExitCode.BRIDGE

    def __init__(self, folder: Path) -> None:
        self.fault = f"{folder}: the session's process is gone"
        self.remedy = f"`dualtilt resume {quoted(folder_to_resume(folder))}` continues it"
        if not folder.is_dir():
            self.remedy = "its folder was removed or renamed: put it back to resume"
        super().__init__(f"{self.fault}; {self.remedy}")


class NotAnsweringError(DualtiltError):
    """A session's process runs, but does not let this client in.

    Parameters
    ----------
    address
        Address of the session.
    error
        Failure of the connection.

    Attributes
    ----------
    fault, remedy
        The two parts of the message: the fault, and what to do.
    pid
        Process of the session.
    """

    exit_code = ExitCode.BRIDGE

    def __init__(self, address: ServiceAddress, error: object) -> None:
        self.pid = address.pid
        self.fault = (
            f"{address.folder}: a session runs here (process {address.pid}) but does not answer: "
            f"{error}"
        )
        self.remedy = f"try again; `kill {address.pid}` ends it with the beam blanked"
        super().__init__(f"{self.fault}; {self.remedy}")


class ServiceClient:
    """One connection to a session, opened by :meth:`connect`; each error is one line."""

    def __init__(self, proxy: Any, address: ServiceAddress, read_only: bool) -> None:
        self._proxy = proxy
        self._read_only = read_only
        self.address = address

    @classmethod
    def connect(cls, folder: Path, *, read_only: bool = False) -> Self:
        """Connect to the session that runs in `folder`.

        Raises
        ------
        NoSessionError
            If none is running; the message says what to do.
        NotAnsweringError
            If one is running but does not let this client in.
        UsageError
            If the service refuses the client.
        """
        address = read_address(folder)
        for attempt in range(ATTEMPTS):
            try:
                proxy = _proxy(address, VIEW if read_only else CONTROL)
                break
            except rpc.RefusedError as error:
                raise UsageError(f"{folder}: {error}") from None
            except Pyro5.errors.CommunicationError as error:
                if _nobody_listens(error) or not is_running(address.pid):
                    raise NoSessionError(folder) from None
                if attempt == ATTEMPTS - 1:
                    raise NotAnsweringError(address, error) from None
                time.sleep(RETRY_AFTER_S)
        return cls(proxy, address, read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the session continues."""
        self._proxy._pyroRelease()

    def status(self) -> SessionStatus:
        """Return the newest status."""
        return SessionStatus.model_validate_json(self._call("status"))

    def events_after(self, seq: int, wait_s: float = 0.0) -> list[Record]:
        """Return records newer than `seq`; wait up to `wait_s` (at most 5 s) for the first."""
        lines = self._call("events_after", seq, min(wait_s, MAX_WAIT_S))
        return [RECORD.validate_json(line) for line in lines]

    def picture(self, view: str, max_side_px: int) -> Picture | None:
        """Return a preview with no side longer than `max_side_px`; None without one."""
        shape = self._call("picture", view, max_side_px)
        if shape is None:
            return None
        pixels = current_context.response_annotations.get(PIXELS, b"")
        return np.frombuffer(pixels, np.uint8).reshape(shape).copy()

    def pause(self) -> None:
        """Pause after the current step, beam blanked."""
        self._command("pause")

    def go_on(self) -> None:
        """Continue after a pause."""
        self._command("go_on")

    def stop(self, when: StopWhen) -> None:
        """Stop, with the beam blanked in every case."""
        self._command("stop", when.value)

    def retake(self, count: int) -> None:
        """Record the last `count` tilts of the current series again."""
        self._command("retake", count)

    def complete(self) -> None:
        """Record all tilts of the series, also those that a settled count makes unnecessary."""
        self._command("complete")

    def answer(self, answer: Answer) -> None:
        """Answer the open prompt."""
        self._command("answer", answer.model_dump_json())

    def _command(self, name: str, *args: Any) -> None:
        refused = self._call(name, *args)
        if refused:
            raise UsageError(refused)

    def _call(self, name: str, *args: Any) -> Any:
        try:
            return getattr(self._proxy, name)(*args)
        except Pyro5.errors.CommunicationError as error:
            raise self._lost(error) from None
        except AttributeError:
            raise UsageError(f"{name}: not allowed on a read-only screen") from None

    def _lost(self, error: Exception) -> DualtiltError:
        """Connect again, for the next call, and return what to say about this one."""
        try:
            again = self.connect(self.address.folder, read_only=self._read_only)
        except NotAnsweringError as not_answering:
            return not_answering
        except UsageError:
            return SessionGoneError(self.address.folder)
        self._proxy = again._proxy
        return NotAnsweringError(self.address, error)


def find_sessions() -> list[Path]:
    """Return the folders of this user's running sessions; remove addresses of ended ones."""
    running = []
    for path, address in known_addresses().items():
        if _is_served(address):
            running.append(address.folder)
        elif not is_running(address.pid):
            path.unlink(missing_ok=True)
    return running


def others_run(folder: Path) -> bool:
    """Return true if this user seems to run other sessions than the one in a folder."""
    return any(
        address.folder != folder and _is_served(address) for address in known_addresses().values()
    )


def _is_served(address: ServiceAddress) -> bool:
    """Tell whether a session runs: its process holds the lock of the folder.

    Another process may have got the id of a killed one. Only where the folder is gone with its
    lock, the id decides.
    """
    if not address.folder.is_dir():
        return is_running(address.pid)
    return working_process(address.folder) == address.pid


def the_only_session(option: str = "") -> Path:
    """Return the folder of the only running session, for commands without a folder.

    Parameters
    ----------
    option
        Option with which the command takes a folder, with a space behind it; empty if the folder
        stands alone.

    Raises
    ------
    UsageError
        If none is running, or more than one.
    """
    folders = find_sessions()
    if not folders:
        raise UsageError("no session is running; if it runs as another user, name its folder")
    # a session whose folder was removed while it runs cannot be reached
    folders = [folder for folder in folders if folder.is_dir()] or folders
    if len(folders) > 1:
        named = ", ".join(f"{option}{quoted(folder.resolve())}" for folder in folders)
        raise UsageError(f"{len(folders)} sessions are running; add one of these: {named}")
    return folders[0]


def exit_code_after(folder: Path, status: SessionStatus) -> ExitCode:
    """Return the exit code of an ended session, else OK; for a command that followed it.

    The session's process writes that code last of all, shortly after its last event.
    """
    deadline = time.monotonic() + EXIT_CODE_WITHIN_S
    while status.ended and status.exit_code is None and time.monotonic() < deadline:
        time.sleep(0.05)
        status = last_status(folder) or status
    return ExitCode.OK if status.exit_code is None else status.exit_code


def _proxy(address: ServiceAddress, object_name: str) -> Any:
    uri = f"PYRO:{object_name}@{address.location}"
    return rpc.connect(uri, address.token, VERSION, TIMEOUT_S)


def _nobody_listens(error: BaseException) -> bool:
    """Tell whether a connection failed because its socket is gone or its process has ended."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError | FileNotFoundError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
