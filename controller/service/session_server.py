"""Service of a running session: takes events, gives status, records and pictures to clients.

Engine and worker call :meth:`SessionService.publish`, which only stamps and queues the event. One
thread updates the status, wakes the clients and calls the listeners; another one writes the log and
status.json, so that a disk that does not answer keeps no alarm from the screens. Clients may come
and go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from controller.common.atomic import ANY_READER, OWNER_ONLY, remove_file, replace_text
from controller.common.connection_limits import limits_for, open_files_limit
from controller.common.exit_codes import ExitCode
from controller.common.rpc_server import TokenDaemon
from controller.model.events import Event, PromptOpened, Record, State, StateChanged
from controller.service.remote_objects import (
    CONTROL,
    VIEW,
    SessionCommands,
    SessionControl,
    SessionView,
)
from controller.service.service_address import (
    ADDRESS_FILE,
    VERSION,
    ServiceAddress,
    new_token,
    socket_path,
    write_address_for_attach,
)
from controller.service.session_client import others_run
from controller.service.session_status import SessionStatus
from controller.service.session_store import SessionStore

STATUS_FILE = "status.json"
STATUS_EVERY_S = 0.5
"""Shortest time between two writes of status.json (s)."""

FLUSH_WITHIN_S = 10.0
"""Longest wait for the queued events to be logged (s)."""
CLOSE_WITHIN_S = 10.0
"""Longest wait for each thread at the end (s)."""

IDLE_S = 600.0
"""Time after which a client that asks nothing is disconnected; a screen asks all the time (s)."""

_log = logging.getLogger(__name__)


class SessionService:
    """Serves one session to any number of clients.

    Parameters
    ----------
    folder
        The session's folder; status.json and the address are written there.
    write_record
        Function that appends a record to the log (events.jsonl); called from one thread only. It
        may block.
    past
        Records of earlier runs of the same session, from which the status continues.
    replace, remove
        Functions that replace a text file of the session's folder in one step (path, text,
        permissions), and remove one; may block as `write_record`.

    Attributes
    ----------
    listeners
        Functions called with every record and the status after it, on the thread of the status;
        they must not block.
    """

    def __init__(
        self,
        folder: Path,
        write_record: Callable[[Record], None],
        past: Iterable[Record] = (),
        replace: Callable[[Path, str, int], None] = replace_text,
        remove: Callable[[Path], None] = remove_file,
    ) -> None:
        self._folder = folder.absolute()
        self._replace, self._remove = replace, remove
        self._write_record = write_record
        self.listeners: list[Callable[[Record, SessionStatus], None]] = []
        self._store = SessionStore(past)
        self._next_seq = self._store.status.seq + 1
        self._stamp_lock = threading.Lock()
        self._queue: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._to_log: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._status_written_s = float("-inf")
        self._threads = (
            threading.Thread(target=self._run_status, name="session-status", daemon=True),
            threading.Thread(target=self._run_log, name="session-log", daemon=True),
        )
        for thread in self._threads:
            thread.start()
        self._daemon: TokenDaemon | None = None
        self._address_files: list[Path] = []

    @property
    def store(self) -> SessionStore:
        """Status and records so far; any thread may read them."""
        return self._store

    def publish(self, event: Event) -> None:
        """Stamp and queue an event; never blocks, never raises."""
        try:
            with self._stamp_lock:
                at = datetime.now().astimezone().isoformat(timespec="milliseconds")
                self._queue.put(Record(seq=self._next_seq, at=at, event=event))
                self._next_seq += 1
        except Exception:  # noqa: BLE001 -- a lost line must not stop an exposure or a move
            _note_failure("event not published: %s", type(event).__name__)

    def flush(self) -> None:
        """Wait until all events published so far are logged and passed to the listeners."""
        reached = threading.Event()
        self._queue.put(reached)
        reached.wait(FLUSH_WITHIN_S)

    def serve(self, commands: SessionCommands) -> ServiceAddress:
        """Start to serve clients; return the address."""
        token = new_token()
        where = (
            {"host": "127.0.0.1", "port": 0}
            if sys.platform == "win32"
            else {"unixsocket": str(socket_path())}
        )
        limits = limits_for(open_files_limit(), IDLE_S)
        self._daemon = TokenDaemon(token, VERSION, limits, **where)
        self._daemon.register(SessionView(self._store, self._folder), VIEW)
        self._daemon.register(SessionControl(self._store, self._folder, commands), CONTROL)
        self._daemon.start()
        address = ServiceAddress(
            folder=self._folder,
            location=self._daemon.locationStr,
            token=token,
            pid=os.getpid(),
            version=VERSION,
        )
        here = self._folder / ADDRESS_FILE
        here.parent.mkdir(parents=True, exist_ok=True)
        self._replace(here, address.model_dump_json(), OWNER_ONLY)
        self._address_files = [here, write_address_for_attach(address)]
        return address

    def close(self, exit_code: ExitCode) -> None:
        """Write the rest of the log and the final status.json, then disconnect the clients."""
        self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=CLOSE_WITHIN_S)
        self._store.finish(exit_code)
        self._write_status()
        for path in self._address_files:
            with contextlib.suppress(OSError):
                self._remove(path)
        if self._daemon is not None:
            self._daemon.shutdown()

    def _run_status(self) -> None:
        """Update the status with the records from the queue, until None comes."""
        while True:
            item = self._queue.get()
            if isinstance(item, Record):
                try:
                    item = self._store.add(self._with_session_named(item))
                    self._to_log.put(item)
                    for listener in self.listeners:
                        listener(item, self._store.status)
                except Exception:  # noqa: BLE001 -- the next events must still be shown
                    _note_failure("event %d not handled", item.seq)
            else:
                self._to_log.put(item)
            if item is None:
                return

    def _with_session_named(self, record: Record) -> Record:
        """Add the session's folder to a prompt or a pause if its commands have to name it."""
        named = {"session": str(self._folder)}
        match record.event:
            case PromptOpened(prompt=prompt) if others_run(self._folder):
                event: Event = PromptOpened(prompt=prompt.model_copy(update=named))
            case StateChanged(state=State.PAUSED) as paused if others_run(self._folder):
                event = paused.model_copy(update=named)
            case _:
                return record
        return record.model_copy(update={"event": event})

    def _run_log(self) -> None:
        """Log the records from the queue and write status.json, until None comes."""
        while True:
            item = self._take()
            if item is None:
                return
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._log_record(item)
            except Exception:  # noqa: BLE001 -- the next events must still be logged
                _note_failure("event %d not logged", item.seq)

    def _log_record(self, record: Record) -> None:
        try:
            self._write_record(record)
        except OSError as error:  # a full disk is for the engine to handle; the screens stay up
            _log.error("event %d not logged: %s", record.seq, error)
        if time.monotonic() - self._status_written_s >= STATUS_EVERY_S:
            self._write_status()

    def _take(self) -> Record | threading.Event | None:
        """Return the next item to log; write status.json first if there is none for a while."""
        try:
            return self._to_log.get(timeout=STATUS_EVERY_S)
        except queue.Empty:
            self._write_status()
        return self._to_log.get()

    def _write_status(self) -> None:
        path = self._folder / STATUS_FILE
        try:
            self._replace(path, self._store.status_json(), ANY_READER)
        except OSError as error:
            _log.error("%s not written: %s", path, error)
        self._status_written_s = time.monotonic()


def _note_failure(text: str, about: object) -> None:
    """Log the present error; without memory, or with standard error closed, that may fail too."""
    with contextlib.suppress(Exception):
        _log.exception(text, about)
