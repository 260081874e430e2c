"""Starting a bridge as a child process and waiting until it is ready."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.bridge.client import RemoteMicroscope, connect
from controller.errors import BridgeError
from controller.microscope.limits import SessionLimits

READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 10.0
POLL_INTERVAL_S = 0.05


class BridgeProcess:
    """A bridge that runs as our child; it makes the column safe and ends when we do."""

    def __init__(self, process: subprocess.Popen[bytes], connection_file: Path) -> None:
        self._process = process
        self.connection_file = connection_file
        self.pid = process.pid

    def connect(self, holder: str | None, limits: SessionLimits | None = None) -> RemoteMicroscope:
        """Connect a client; see :func:`controller.bridge.client.connect`."""
        return connect(self.connection_file, holder, limits)

    def running(self) -> bool:
        """Tell whether the bridge is still there."""
        return self._process.poll() is None

    def terminate(self) -> int:
        """End the bridge, the column safe; return its exit status."""
        if self.running():
            self._process.terminate()
        try:
            self._process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._hang_up()

    def kill(self) -> int:
        """End the bridge without a chance to do anything: for rehearsing a crash."""
        self._process.kill()
        return self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.terminate()

    def _hang_up(self) -> int:
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return status


def start_bridge(
    folder: Path,
    *,
    microscope: str = "simulator",
    settings: Path | None = None,
    state: Path | None = None,
    lease_s: float | None = None,
    real_time: bool = False,
    extra: Sequence[str] = (),
) -> BridgeProcess:
    """Start a bridge and wait until it is ready.

    Parameters
    ----------
    folder
        For its socket, secret and connection file; made with mode 0700. Keep its path short.
    microscope, settings, state, lease_s, real_time
        As the options of ``dualtilt bridge``.
    extra
        Further arguments of ``dualtilt bridge``.

    Raises
    ------
    BridgeError
        If the bridge ends or is not ready in time; with its own last line.
    """
    connection_file = folder / "bridge.json"
    connection_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "controller.bridge", "--tied", "--microscope", microscope]
    command += ["--connection-file", str(connection_file), "--socket", str(folder / "bridge.sock")]
    command += ["--settings", str(settings)] if settings else []
    command += ["--state", str(state)] if state else []
    command += ["--lease-s", str(lease_s)] if lease_s else []
    command += ["--real-time"] if real_time else []
    process = subprocess.Popen(
        [*command, *extra],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    bridge = BridgeProcess(process, connection_file)
    _wait_until_ready(bridge, process)
    return bridge


def _wait_until_ready(bridge: BridgeProcess, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not bridge.connection_file.exists():
        if process.poll() is not None:
            raise BridgeError(f"the bridge did not start: {_last_line(process)}")
        if time.monotonic() > deadline:
            bridge.terminate()
            raise BridgeError(f"the bridge was not ready within {READY_WITHIN_S:g} s")
        time.sleep(POLL_INTERVAL_S)


def _last_line(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {process.returncode}"
