"""A client of a running session: what screens and commands hold in their hands.

A client belongs to the thread that opened it. Opening one takes a few milliseconds, so a thread
that wants to say something opens its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import Pyro5.errors
from Pyro5.callcontext import current_context

from controller.common import rpc
from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import RECORD, Record
from controller.service.address import (
    VERSION,
    Address,
    known_addresses,
    not_running,
    read_address,
)
from controller.service.offer import CONTROL, MAX_WAIT_S, PIXELS, VIEW
from controller.service.pictures import Picture
from controller.service.status import SessionStatus

LAST_WORD_WITHIN_S = 20.0
"""From a session's last event to its process's exit code on disk."""
TIMEOUT_S = 10.0
"""For any one call."""


class SessionGoneError(DualtiltError):
    """The session's process does not answer any more."""

    exit_code = ExitCode.BRIDGE


class ServiceClient:
    """One connection to a session; errors are one line each.

    Use :meth:`connect`.
    """

    def __init__(self, proxy: Any, address: Address) -> None:
        self._proxy = proxy
        self.address = address

    @classmethod
    def connect(cls, folder: Path, *, read_only: bool = False) -> Self:
        """Connect to the session that runs in `folder`.

        Raises
        ------
        UsageError
            Where none is running; the message says what to do.
        """
        address = read_address(folder)
        uri = f"PYRO:{VIEW if read_only else CONTROL}@{address.location}"
        try:
            proxy = rpc.connect(uri, address.token, VERSION, TIMEOUT_S)
        except rpc.RefusedError as error:
            raise UsageError(f"{folder}: {error}") from None
        except Pyro5.errors.CommunicationError:
            raise UsageError(not_running(folder)) from None
        return cls(proxy, address)

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
        """Hang up; the session goes on."""
        self._proxy._pyroRelease()

    def status(self) -> SessionStatus:
        """The newest status."""
        return SessionStatus.model_validate_json(self._call("status"))

    def events_after(self, seq: int, wait_s: float = 0.0) -> list[Record]:
        """Records newer than `seq`; waits up to `wait_s` (at most 5 s) for the first."""
        lines = self._call("events_after", seq, min(wait_s, MAX_WAIT_S))
        return [RECORD.validate_json(line) for line in lines]

    def picture(self, view: str, max_side_px: int) -> Picture | None:
        """A preview, no side longer than `max_side_px`; None where there is none."""
        shape = self._call("picture", view, max_side_px)
        if shape is None:
            return None
        pixels = current_context.response_annotations.get(PIXELS, b"")
        return np.frombuffer(pixels, np.uint8).reshape(shape).copy()

    def pause(self) -> None:
        """Pause after the step under way, beam blanked."""
        self._command("pause")

    def go_on(self) -> None:
        """Go on after a pause."""
        self._command("go_on")

    def stop(self, when: StopWhen) -> None:
        """Stop; the beam is blanked in every case."""
        self._command("stop", when.value)

    def retake(self, count: int) -> None:
        """Record the last `count` tilts of the series under way again."""
        self._command("retake", count)

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
        except Pyro5.errors.CommunicationError:
            raise SessionGoneError(
                f"{self.address.folder}: the session's process is gone;"
                f" `dualtilt resume {self.address.folder}` goes on"
            ) from None
        except AttributeError:
            raise UsageError(f"{name}: not from a read-only screen") from None


def find_sessions() -> list[Path]:
    """Folders of this user's sessions that answer; forgets those that do not."""
    alive: dict[Path, None] = {}
    for path, address in known_addresses().items():
        try:
            with ServiceClient.connect(address.folder, read_only=True) as client:
                of_another_run = client.address.pid != address.pid
        except UsageError:
            of_another_run = True
        else:
            alive[address.folder] = None
        if of_another_run and not _is_running(address.pid):
            path.unlink(missing_ok=True)
    return list(alive)


def the_only_session() -> Path:
    """The folder of the one session running, for commands that name none.

    Raises
    ------
    UsageError
        Where there is none, or more than one.
    """
    folders = find_sessions()
    if not folders:
        raise UsageError("no session is running; name its folder if it runs as somebody else")
    if len(folders) > 1:
        named = ", ".join(str(folder) for folder in folders)
        raise UsageError(f"{len(folders)} sessions are running: name one of {named}")
    return folders[0]


def last_status(folder: Path) -> SessionStatus | None:
    """The status a session left on disk; None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return SessionStatus.model_validate_json((folder / "status.json").read_bytes())
    return None


def exit_code_after(folder: Path, status: SessionStatus) -> ExitCode:
    """What a command ends with that has watched a session: its own code where it has ended.

    The session's process writes that code last of all, a moment after its last event.
    """
    deadline = time.monotonic() + LAST_WORD_WITHIN_S
    while status.ended and status.exit_code is None and time.monotonic() < deadline:
        time.sleep(0.05)
        status = last_status(folder) or status
    return ExitCode.OK if status.exit_code is None else status.exit_code


def _is_running(pid: int) -> bool:
    if os.name == "nt":
        return False  # its address did not answer, and that is all that can be asked there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
