"""Floods: time to the first blank after a session's death, and of an abort among strangers.

The column takes 0.25 s for a status. Onlookers read it as fast as they are answered; strangers
take every file that the bridge may open.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from controller.bridge.remote_microscope import RemoteMicroscope, connect
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.hardware.interface import MicroscopeError, Status
from controller.model.scan import ScanSettings
from tests.bridge.peer import Peer
from tests.support.fake_behaviour import FakeSettings
from tests.support.fake_microscope import FakeMicroscope
from tests.support.processes import python

ONLOOKERS = (0, 8, 40, 100)
STATUS_S = 0.25
SAFE_WITHIN_S = 2.0
"""Longest accepted time from the death of a session to the first blank (s)."""
ABORT_WITHIN_S = 2.0
STRANGERS, DESCRIPTORS = 60, 64
RUNS = 3
WARM_UP_S = 2.0
GIVE_UP_S = 30.0
SCAN = ScanSettings(width_px=96, height_px=64, pixel_nm=1.0, dwell_us=1.0)


class SlowColumn(FakeMicroscope):
    """Column with a slow status that notes when it was blanked."""

    def __init__(self, blanks: Path) -> None:
        super().__init__("slow", settings=FakeSettings(exposure_s=600))
        self._blanks = blanks

    def status(self) -> Status:
        time.sleep(STATUS_S)
        return super().status()

    def blank(self) -> None:
        super().blank()
        with self._blanks.open("a") as file:
            file.write(f"{time.monotonic()}\n")


def create(settings: dict[str, object], _state: Path | None) -> SlowColumn:
    """Create the column for a bridge."""
    return SlowColumn(Path(str(settings["blanks"])))


def run() -> list[str]:
    """Print every figure; return the violated requirements."""
    violations = []
    for n in ONLOOKERS:
        worst_s = max(_first_blank_s(n) for _ in range(RUNS))
        print(f"flood: {n} onlookers: beam blanked {worst_s:.2f} s after the session's death")
        if worst_s > SAFE_WITHIN_S:
            violations.append(f"{n} onlookers: blanked only after {worst_s:.2f} s")
    abort_s, error = _abort_s()
    print(f"flood: {STRANGERS} strangers, {DESCRIPTORS} files: abort {abort_s:.2f} s {error}")
    if error or abort_s > ABORT_WITHIN_S:
        violations.append(f"abort among strangers: {abort_s:.2f} s {error}")
    return violations


def _first_blank_s(onlookers: int) -> float:
    """Kill a session in an exposure; return the time to the first blank (s)."""
    with _bridge() as (bridge, blanks), ExitStack() as stack:
        session = stack.enter_context(_child("session", bridge.connection_file))
        _wait_for_line(session)
        if onlookers:
            crowd = _child("onlookers", bridge.connection_file, str(onlookers))
            _wait_for_line(stack.enter_context(crowd))
        time.sleep(WARM_UP_S)
        before = len(_times(blanks))
        killed_s = time.monotonic()
        session.send_signal(signal.SIGKILL)
        while len(_times(blanks)) == before:
            if time.monotonic() - killed_s > GIVE_UP_S:
                return GIVE_UP_S
            time.sleep(0.005)
        return _times(blanks)[before] - killed_s


def _abort_s() -> tuple[float, str]:
    """Abort an exposure among strangers; return the time to the blank (s), and the failure."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    with ExitStack() as stack:
        try:
            bridge, _ = stack.enter_context(_bridge())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        microscope = bridge.connect("the session")
        threads = stack.enter_context(ThreadPoolExecutor(2))
        exposure = threads.submit(microscope.acquire, "long", SCAN)
        time.sleep(1.0)
        strangers = [stack.enter_context(Peer(bridge.address())) for _ in range(STRANGERS)]
        dripping = threading.Event()
        drip = threading.Thread(target=_drip, args=(strangers, dripping), daemon=True)
        drip.start()
        time.sleep(0.5)
        begun_s = time.monotonic()
        try:
            threads.submit(microscope.make_safe, "by the operator").result()
            error = ""
        except MicroscopeError as failure:
            error = f"failed: {failure}"
        took_s = time.monotonic() - begun_s
        dripping.set()
        if error:
            bridge.terminate()
        with suppress(MicroscopeError):
            exposure.result()
        microscope.close()
    return took_s, error


def _drip(strangers: list[Peer], end: threading.Event) -> None:
    while not end.wait(0.5):
        for stranger in strangers:
            stranger.send(b"P")


@contextmanager
def _bridge() -> Iterator[tuple[BridgeProcess, Path]]:
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        folder = Path(name)
        blanks = folder / "blanks"
        (folder / "slow.toml").write_text(f'blanks = "{blanks}"\n')
        with start_bridge(
            folder, microscope="tests.soak.flood:create", settings=folder / "slow.toml"
        ) as bridge:
            yield bridge, blanks


@contextmanager
def _child(*words: object) -> Iterator[subprocess.Popen[str]]:
    with python("-m", "tests.soak.flood", *map(str, words), stdout=subprocess.PIPE) as process:
        yield process


def _wait_for_line(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline()


def _times(blanks: Path) -> list[float]:
    return [float(line) for line in blanks.read_text().split()] if blanks.exists() else []


def _be_session(connection_file: Path) -> None:
    microscope = connect(connection_file, "the session")
    print("ready", flush=True)
    microscope.acquire("long", SCAN)


def _be_onlookers(connection_file: Path, n: int) -> None:
    def look() -> None:
        onlooker: RemoteMicroscope | None = None
        while True:
            try:
                onlooker = onlooker or connect(connection_file, None)
                onlooker.status()
            except MicroscopeError:
                time.sleep(STATUS_S)

    threads = [threading.Thread(target=look, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "session":
        _be_session(Path(sys.argv[2]))
    else:
        _be_onlookers(Path(sys.argv[2]), int(sys.argv[3]))
