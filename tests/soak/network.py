"""The network interrupted for 30 s in real time, with the default lease: the tilt continues."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.start_bridge import start_bridge
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.events import Event, FrameRecorded
from tests.bridge.relay import Relay
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, Run, open_session

INTERRUPTION_S = 30.0
SAFE_WITHIN_S = 2.0
"""Longest accepted time until the microscope is in its safe state."""


def run() -> list[str]:
    """Interrupt the network during A; return the violated requirements."""
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        folder = Path(name)
        (folder / "fake.toml").write_text(f'action_log = "{folder / "actions"}"\n')
        with (
            start_bridge(
                folder / "bridge",
                microscope="tests.support.fake_microscope:create",
                settings=folder / "fake.toml",
                state=folder / "flipped",
            ) as bridge,
            Relay(bridge.address(), folder / "relay.sock") as relay,
        ):
            safe_after_s: list[float] = []

            def watch(cut_s: float) -> None:
                onlooker = RemoteMicroscope(bridge.address(), None)
                while onlooker.report().holder is not None:
                    time.sleep(0.005)
                safe_after_s.append(time.monotonic() - cut_s)
                onlooker.close()

            def cut(event: Event, engine: Engine) -> None:
                if is_frame(event, "A", 1):
                    relay.passing.clear()
                    threading.Thread(target=watch, args=(time.monotonic(),)).start()
                    threading.Timer(INTERRUPTION_S, relay.passing.set).start()

            session = Run(
                open_session(folder / "s", PROTOCOL),
                connect=lambda: RemoteMicroscope(relay.address, "far away"),
                on_event=cut,
            )
            code = session.go()
            frames = len(session.of(FrameRecorded))
    print(f"network: interrupted for {INTERRUPTION_S:g} s; safe after {safe_after_s[0]:.2f} s")
    print(f"network: session ended with {code.name}, {frames} of 9 frames")
    violations = []
    if safe_after_s[0] > SAFE_WITHIN_S:
        violations.append(f"the microscope was safe only after {safe_after_s[0]:.2f} s")
    if code is not ExitCode.OK or frames != 9:
        violations.append(f"{code.name} with {frames} frames")
    return violations
