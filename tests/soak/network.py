"""The network gone for 30 s, in real time and with the everyday lease: the same tilt goes on."""

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

GONE_S = 30.0
SAFE_WITHIN_S = 2.0


def run() -> list[str]:
    """Cut the line in A; return the promises that were broken."""
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
                    threading.Timer(GONE_S, relay.passing.set).start()

            session = Run(
                open_session(folder / "s", PROTOCOL),
                connect=lambda: RemoteMicroscope(relay.address, "far away"),
                on_event=cut,
            )
            code = session.go()
            frames = len(session.of(FrameRecorded))
    print(f"network: gone for {GONE_S:g} s; column safe after {safe_after_s[0]:.2f} s, ")
    print(f"network: session ended with {code.name}, {frames} of 9 frames")
    broken = []
    if safe_after_s[0] > SAFE_WITHIN_S:
        broken.append(f"the column was safe after {safe_after_s[0]:.2f} s")
    if code is not ExitCode.OK or frames != 9:
        broken.append(f"{code.name} with {frames} frames")
    return broken
