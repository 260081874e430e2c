"""The running session seen from outside: takes events in, gives status, log and pictures out.

Engine and worker call :meth:`SessionService.publish`, which only stamps and queues: one thread
writes the log, folds the status and wakes the clients. Clients come and go as they like.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from controller.common.atomic import replace_text
from controller.common.exit_codes import ExitCode
from controller.common.rpc import TokenDaemon
from controller.model.events import Event, Record
from controller.service.address import VERSION, Address, new_token, socket_path, write_address
from controller.service.board import Board
from controller.service.offer import CONTROL, VIEW, SessionCommands, SessionControl, SessionView
from controller.service.status import SessionStatus

STATUS_FILE = "status.json"
STATUS_EVERY_S = 0.5
"""status.json is rewritten at most this often."""

FLUSH_WITHIN_S = 10.0

_log = logging.getLogger(__name__)


class SessionService:
    """Serves one session to any number of clients.

    Parameters
    ----------
    folder
        The session's folder; status.json and the address are written there.
    write_record
        Appends one record to the log (events.jsonl); called from one thread only.
    past
        Records of earlier runs of the same session: the status goes on from there.

    Attributes
    ----------
    listeners
        Called with every event and the status after it, on the service's thread; must not block.
    """

    def __init__(
        self, folder: Path, write_record: Callable[[Record], None], past: Iterable[Record] = ()
    ) -> None:
        self._folder = folder.absolute()
        self._write_record = write_record
        self.listeners: list[Callable[[Event, SessionStatus], None]] = []
        self._board = Board(past)
        self._next_seq = self._board.status.seq + 1
        self._stamp_lock = threading.Lock()
        self._queue: queue.SimpleQueue[Record | threading.Event | None] = queue.SimpleQueue()
        self._status_written_s = float("-inf")
        self._keeper = threading.Thread(target=self._keep, name="session-log", daemon=True)
        self._keeper.start()
        self._daemon: TokenDaemon | None = None
        self._address_files: list[Path] = []

    @property
    def board(self) -> Board:
        """Status and log as they stand; may be read from any thread."""
        return self._board

    def publish(self, event: Event) -> None:
        """Make an event known: stamped and queued; never blocks, never raises."""
        with self._stamp_lock:
            at = datetime.now().astimezone().isoformat(timespec="milliseconds")
            self._queue.put(Record(seq=self._next_seq, at=at, event=event))
            self._next_seq += 1

    def flush(self) -> None:
        """Wait until every event published so far is logged and the listeners know it."""
        reached = threading.Event()
        self._queue.put(reached)
        reached.wait(FLUSH_WITHIN_S)

    def serve(self, commands: SessionCommands) -> Address:
        """Open the door to clients; returns where it is."""
        token = new_token()
        where = (
            {"host": "127.0.0.1", "port": 0}
            if sys.platform == "win32"
            else {"unixsocket": str(socket_path())}
        )
        self._daemon = TokenDaemon(token, VERSION, **where)
        self._daemon.register(SessionView(self._board, self._folder), VIEW)
        self._daemon.register(SessionControl(self._board, self._folder, commands), CONTROL)
        threading.Thread(
            target=self._daemon.requestLoop, name="session-service", daemon=True
        ).start()
        address = Address(
            folder=self._folder,
            location=self._daemon.locationStr,
            token=token,
            pid=os.getpid(),
            version=VERSION,
        )
        self._address_files = write_address(address)
        return address

    def close(self, exit_code: ExitCode) -> None:
        """Write the last word to log and status.json, then hang up on the clients."""
        self._queue.put(None)
        self._keeper.join(timeout=10.0)
        self._board.finish(exit_code)
        self._write_status()
        for path in self._address_files:
            path.unlink(missing_ok=True)
        if self._daemon is not None:
            self._daemon.shutdown()

    def _keep(self) -> None:
        """Take records off the queue until None comes: log, fold, status.json."""
        while True:
            record = self._take()
            if record is None:
                return
            if isinstance(record, threading.Event):
                record.set()
                continue
            record = self._board.add(record)
            try:
                self._write_record(record)
            except OSError as error:  # a full disk stops the engine, not the screen
                _log.error("event %d not logged: %s", record.seq, error)
            for listener in self.listeners:
                listener(record.event, self._board.status)
            if time.monotonic() - self._status_written_s >= STATUS_EVERY_S:
                self._write_status()

    def _take(self) -> Record | threading.Event | None:
        """The next record; writes a status held back as soon as there is time for it."""
        try:
            return self._queue.get(timeout=STATUS_EVERY_S)
        except queue.Empty:
            self._write_status()
        return self._queue.get()

    def _write_status(self) -> None:
        path = self._folder / STATUS_FILE
        try:
            replace_text(path, self._board.status_json())
        except OSError as error:
            _log.error("%s not written: %s", path, error)
        self._status_written_s = time.monotonic()
