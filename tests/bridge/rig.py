"""A bridge to the fake microscope in its own process, and access to the logs of both."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.bridge.bridge_address import BridgeAddress
from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.hardware.limits import SessionLimits
from controller.model.scan import ScanSettings

SCAN = ScanSettings(width_px=96, height_px=64, pixel_nm=1.5, dwell_us=2.0)
LONG_LEASE_S = 60.0
IMPATIENT_S = 2.0
"""Timeout of clients that should notice that the bridge does not answer."""
AT_MOST_S = 60.0
"""Longest wait before a test fails; no duration is checked against it."""


@dataclass(frozen=True)
class Rig:
    """One bridge under test."""

    folder: Path
    bridge: BridgeProcess

    @property
    def address(self) -> BridgeAddress:
        """Address of the bridge."""
        return self.bridge.address()

    def actions(self, kind: str = "") -> list[str]:
        """Return what the hardware did so far, one line each, or those that begin with `kind`."""
        actions = self.folder / "actions"
        lines = actions.read_text().splitlines() if actions.exists() else []
        return [line for line in lines if line.startswith(kind)]

    def audit(self) -> str:
        """Return the audit log."""
        return (self.folder / "audit.log").read_text()

    def audited(self, event: str) -> list[dict[str, Any]]:
        """Return the records of the audit log about one event."""
        records = [json.loads(line) for line in self.audit().splitlines()]
        return [record for record in records if record["event"] == event]

    @contextmanager
    def client(
        self,
        holder: str | None = "tester",
        limits: SessionLimits | None = None,
        address: BridgeAddress | None = None,
        timeout_s: float = AT_MOST_S,
    ) -> Iterator[RemoteMicroscope]:
        """Connect a client for one block."""
        microscope = RemoteMicroscope(address or self.address, holder, limits, timeout_s)
        try:
            yield microscope
        finally:
            microscope.close()


@contextmanager
def open_rig(
    lease_s: float = LONG_LEASE_S, extra: Sequence[str] = (), **fake: float | bool | str
) -> Iterator[Rig]:
    """Start a bridge for one block; `fake` are the settings of a fake that forgets its requests."""
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        folder = Path(name)
        settings = folder / "fake.toml"
        values = {
            "forgets_requests": True,
            "noise": True,
            "action_log": str(folder / "actions"),
            **fake,
        }
        settings.write_text("\n".join(f"{key} = {json.dumps(values[key])}" for key in values))
        with start_bridge(
            folder,
            microscope="tests.support.fake_microscope:create",
            settings=settings,
            lease_s=lease_s,
            extra=["--audit", str(folder / "audit.log"), *extra],
        ) as bridge:
            yield Rig(folder, bridge)


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Wait until `happened` is true; fail with `what` if it never is."""
    deadline = time.monotonic() + AT_MOST_S
    while not happened():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.02)


def resident_bytes(pid: int) -> int:
    """Return the memory a process occupies; Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
