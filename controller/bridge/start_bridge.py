"""Start a bridge as a child process and wait until it is ready."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.bridge.bridge_address import (
    BridgeAddress,
    BridgeRefusedError,
    private_folder,
    read_connection_file,
)
from controller.bridge.remote_microscope import RemoteMicroscope, connect
from controller.common.errors import BridgeError
from controller.common.python_command import python_module_command
from controller.hardware.limits import SessionLimits

READY_WITHIN_S = 600.0
"""Longest wait for a bridge to be ready (s).

Long, because a computer with much other work starts a process slowly; one that has ended is noticed
at once.
"""
ENDED_WITHIN_S = 10.0
POLL_INTERVAL_S = 0.05


class BridgeProcess:
    """Bridge in a child process; it makes the column safe and ends when this process ends."""

    def __init__(self, process: subprocess.Popen[bytes], connection_file: Path) -> None:
        self._process = process
        self.connection_file = connection_file
        self.pid = process.pid

    def connect(self, holder: str | None, limits: SessionLimits | None = None) -> RemoteMicroscope:
        """Connect a client; see :func:`controller.bridge.remote_microscope.connect`."""
        return connect(self.connection_file, holder, limits)

    def address(self) -> BridgeAddress:
        """Return the address of the bridge."""
        return read_connection_file(self.connection_file).address

    def running(self) -> bool:
        """Tell whether the bridge process runs."""
        return self._process.poll() is None

    def terminate(self) -> int:
        """End the bridge, which makes the column safe; return its exit status."""
        if self.running():
            self._process.terminate()
        try:
            self._process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._wait_for_exit()

    def kill(self) -> int:
        """Kill the bridge without making the column safe: to rehearse a crash."""
        self._process.kill()
        return self._wait_for_exit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()

    def _wait_for_exit(self) -> int:
        status = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return status


def start_bridge(
    folder: Path,
    *,
    microscope: str = "simulator",
    settings: Path | None = None,
    state: Path | None = None,
    lease_s: float | None = None,
    real_time: bool = False,
    faults: Sequence[Path] = (),
    extra: Sequence[str] = (),
    works_in: Path | None = None,
) -> BridgeProcess:
    """Start a bridge and wait until it is ready.

    Parameters
    ----------
    folder
        Folder for its socket, secret and connection file; made with mode 0700. Keep the path short.
    microscope, settings, state, lease_s, real_time, faults
        The options of ``dualtilt bridge`` with the same names.
    extra
        Further arguments of ``dualtilt bridge``.
    works_in
        Folder in which the bridge is started; relative paths are paths in it.

    Raises
    ------
    BridgeError
        If the bridge ends or is not ready in time; with the last line of its log.
    """
    private_folder(folder)
    connection_file = folder / "bridge.json"
    earlier = _boot_id(connection_file)
    command = python_module_command(
        "controller.app.cli.bridge", "--tied", "--microscope", microscope
    )
    command += ["--connection-file", str(connection_file), "--socket", str(folder / "bridge.sock")]
    command += ["--settings", str(settings)] if settings else []
    command += ["--state", str(state)] if state else []
    command += ["--lease-s", str(lease_s)] if lease_s else []
    command += ["--real-time"] if real_time else []
    command += ["--faults", *map(str, faults)] if faults else []
    log_path = folder / "bridge.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *extra],
            cwd=works_in,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    bridge = BridgeProcess(process, connection_file)
    deadline = time.monotonic() + READY_WITHIN_S
    while _boot_id(connection_file) in ("", earlier):
        if not bridge.running():
            bridge.terminate()
            raise BridgeError(f"the bridge did not start: {_last_line(log_path)}")
        if time.monotonic() > deadline:
            bridge.terminate()
            raise BridgeError(
                f"the bridge was not ready within {READY_WITHIN_S:g} s: this computer has too much "
                "other work; close other programs and try again"
            )
        time.sleep(POLL_INTERVAL_S)
    return bridge


def _boot_id(connection_file: Path) -> str:
    """Return the boot id in the connection file; empty if there is no such file."""
    try:
        return read_connection_file(connection_file).boot_id
    except BridgeRefusedError:
        return ""


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else f"it ended without a message; see {log_path}"
    return last.removeprefix("dualtilt bridge: ")
