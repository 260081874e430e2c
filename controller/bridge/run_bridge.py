"""Process of a bridge: open the microscope, serve clients, leave the column safe at the end."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.bridge import audit
from controller.bridge.bridge_address import (
    BridgeAddress,
    ConnectionFile,
    ListenAddress,
    check_listen_address,
    free_socket_path,
    new_secret,
    private_folder,
)
from controller.bridge.bridge_daemon import BridgeDaemon
from controller.bridge.request_handler import RequestHandler
from controller.bridge.tls import server_context
from controller.common.atomic import OWNER_ONLY, replace_text
from controller.common.connection_limits import limits_for, open_files_limit
from controller.common.ctrl_c import is_hang_up_handled
from controller.common.errors import BridgeError
from controller.hardware.interface import Microscope

SIGNAL_INTERVAL_S = 0.5


@dataclass(frozen=True)
class BridgeOptions:
    """Options of one bridge."""

    listen_on: ListenAddress
    connection_file: Path
    """File written when the bridge is ready and removed when it ends; in a private folder."""
    lease_s: float
    """Seconds without a session after which the bridge makes the column safe."""
    audit: Path | None = None
    """File for the audit log: one line for every action and every refusal; None: no log."""
    tied: bool = False
    """True: end when standard input closes, that is, with the process that started the bridge."""


class ShutdownSignal:
    """Waits for a signal, or for the end of the parent process."""

    def __init__(self, tied: bool) -> None:
        self.signal_number = 0
        """Number of the signal received; 0: none."""
        self._received = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        if is_hang_up_handled():
            signal.signal(signal.SIGHUP, self._note)
        if tied:
            threading.Thread(target=self._until_parent_goes, daemon=True).start()

    def wait(self, fault: Callable[[], str]) -> str:
        """Block until the bridge has to end; return its fault, empty if it was asked to end."""
        while not self._received.wait(SIGNAL_INTERVAL_S):  # signals are handled between two waits
            if found := fault():
                return found
        return ""

    def _note(self, number: int, _frame: object) -> None:
        self.signal_number = number
        self._received.set()

    def _until_parent_goes(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._received.set()


def run_bridge(
    open_microscope: Callable[[], Microscope],
    options: BridgeOptions,
    say: Callable[[str], None],
) -> int:
    """Run a bridge until a signal or the end of its parent process stops it.

    Parameters
    ----------
    open_microscope
        Opens the microscope; called on the work thread.
    options
        Options of the bridge.
    say
        Prints the line that tells the operator that the bridge is ready.

    Returns
    -------
    int
        Number of the signal that ended it; 0 if its parent process ended.

    Raises
    ------
    BridgeError
        If the address to listen on is refused or in use, or if the bridge had to end because one
        of its threads died.
    """
    listen_on = options.listen_on
    check_listen_address(listen_on)
    private_folder(options.connection_file.parent)
    if listen_on.socket_path is not None:
        free_socket_path(listen_on.socket_path)
    tls = server_context(listen_on.certs) if listen_on.certs is not None else None
    audit.log_to(options.audit)
    logging.getLogger("Pyro5").addHandler(logging.NullHandler())
    shutdown = ShutdownSignal(options.tied)
    handler = RequestHandler(open_microscope, options.lease_s)
    try:
        secret_path = None if tls else options.connection_file.with_suffix(".secret")
        secret = new_secret(secret_path) if secret_path else ""
        limits = limits_for(open_files_limit())
        daemon = BridgeDaemon(handler, listen_on, secret, tls, limits)
        daemon.start()
        address = daemon.address(secret_path)
        _write_connection_file(address, handler, options.connection_file)
        connect = "" if tls else f"; connect a session with --bridge {options.connection_file}"
        say(f"bridge to {handler.description.name} ready at {address}{connect}")
        fault = shutdown.wait(lambda: handler.fault() or _deafness(daemon))
        if fault:
            audit.warn("the bridge ends", reason=fault)
        options.connection_file.unlink(missing_ok=True)
        daemon.shutdown()
    finally:
        handler.close("the bridge ends")
    if fault:
        raise BridgeError(f"{fault}: the column was made safe and the bridge ended; start it again")
    return shutdown.signal_number


def _deafness(daemon: BridgeDaemon) -> str:
    return "the bridge accepts no connections any more" if daemon.deaf() else ""


def _write_connection_file(
    address: BridgeAddress, handler: RequestHandler, connection_file: Path
) -> None:
    connection = ConnectionFile(
        address=address, pid=os.getpid(), boot_id=handler.description.boot_id
    )
    replace_text(connection_file, connection.model_dump_json(), OWNER_ONLY)
