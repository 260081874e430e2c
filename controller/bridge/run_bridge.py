"""The bridge's own process: open the column, listen, say so, and leave it safe on the way out."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controller.bridge.bridge_address import (
    BridgeAddress,
    ConnectionFile,
    ListenAddress,
    check_listen_address,
    free_socket_path,
    new_secret,
    private_folder,
    write_privately,
)
from controller.bridge.bridge_daemon import BridgeDaemon
from controller.bridge.request_handler import RequestHandler
from controller.bridge.tls import server_context
from controller.hardware.interface import Microscope

SIGNAL_INTERVAL_S = 0.5


@dataclass(frozen=True)
class BridgeOptions:
    """How one bridge runs."""

    place: ListenAddress
    connection_file: Path
    """Written once the bridge is ready, removed when it ends; its folder is ours alone."""
    lease_s: float
    audit: Path | None = None
    """File that gets a line for every action and every refusal."""
    tied: bool = False
    """End when standard input closes, that is with the process that started the bridge."""


class ShutdownSignal:
    """Waits for a signal, or for the parent to go."""

    def __init__(self, tied: bool) -> None:
        self.signal_number = 0
        """Of the signal that came; 0 for none."""
        self._asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        if tied:
            threading.Thread(target=self._until_parent_goes, daemon=True).start()

    def wait(self) -> None:
        """Return once the bridge is to end."""
        while not self._asked.wait(SIGNAL_INTERVAL_S):  # signals arrive between two waits
            pass

    def _note(self, number: int, _frame: object) -> None:
        self.signal_number = number
        self._asked.set()

    def _until_parent_goes(self) -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        self._asked.set()


def run_bridge(
    open_microscope: Callable[[], Microscope],
    options: BridgeOptions,
    say: Callable[[str], None],
) -> int:
    """Run a bridge until a signal, or the end of its parent, stops it.

    Parameters
    ----------
    open_microscope
        Makes the microscope; called on the hardware's thread.
    options
        How to run.
    say
        Takes the one line that tells a person that the bridge is ready.

    Returns
    -------
    int
        Number of the signal that ended it; 0 where it was its parent's end.

    Raises
    ------
    BridgeError
        If the place to listen is refused or taken.
    """
    place = options.place
    check_listen_address(place)
    private_folder(options.connection_file.parent)
    if place.socket_path is not None:
        free_socket_path(place.socket_path)
    tls = server_context(place.certs) if place.certs is not None else None
    _log_to(options.audit)
    ending = ShutdownSignal(options.tied)
    control = RequestHandler(open_microscope, options.lease_s)
    try:
        secret_path = None if tls else options.connection_file.with_suffix(".secret")
        secret = new_secret(secret_path) if secret_path else ""
        daemon = BridgeDaemon(control, place, secret, tls)
        threading.Thread(target=daemon.serve, name="accept", daemon=True).start()
        address = daemon.address(secret_path)
        _announce(address, control, options.connection_file)
        connect = "" if tls else f"; sessions come with --bridge {options.connection_file}"
        say(f"bridge to {control.description.name} ready at {address}{connect}")
        ending.wait()
        options.connection_file.unlink(missing_ok=True)
        daemon.stop()
    finally:
        control.close("the bridge ends")
    return ending.signal_number


def _announce(address: BridgeAddress, control: RequestHandler, connection_file: Path) -> None:
    connection = ConnectionFile(
        address=address, pid=os.getpid(), boot_id=control.description.boot_id
    )
    write_privately(connection_file, connection.model_dump_json())


def _log_to(audit: Path | None) -> None:
    """Send the audit log to a file, or nowhere."""
    log = logging.getLogger("controller.bridge.audit")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(logging.FileHandler(audit) if audit else logging.NullHandler())
    for handler in log.handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("Pyro5").addHandler(logging.NullHandler())
