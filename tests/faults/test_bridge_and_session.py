"""A session through a bridge in its own process, while bridge, network or session fail.

Times are real, but scaled: a lease of one second stands for the usual one and a half.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from controller.bridge.bridge_address import BridgeAddress
from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.start_bridge import BridgeProcess, start_bridge
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import LeaseError
from controller.model.events import Alerted, Event, FrameRecorded, State, StateChanged
from controller.session.entries import Exposing, FrameWritten
from controller.session.journal import read_journal
from tests.bridge.relay import Relay
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and Unix sockets")

LEASE_S = 1.0
PATIENCE_S = 2.0
AT_ONCE = PROTOCOL + "[tracking]\nsettle_s = 0.0\n"


@dataclass
class RestartableBridge:
    """A bridge to the fake microscope, restarted when it has ended, optionally behind a relay."""

    folder: Path
    faults: tuple[Path, ...]
    relay: Relay | None = None
    bridge: BridgeProcess | None = None

    def start(self) -> BridgeProcess:
        if self.bridge is not None and not self.bridge.running():
            self.bridge.terminate()
            self.bridge = None
        if self.bridge is None:
            self.bridge = start_bridge(
                self.folder / "bridge",
                microscope="tests.support.fake_microscope:create",
                settings=self.folder / "fake.toml",
                state=self.folder / "flipped",
                lease_s=LEASE_S,
                faults=self.faults,
                extra=["--audit", str(self.folder / "audit")],
            )
        return self.bridge

    def address(self) -> BridgeAddress:
        return self.relay.address if self.relay else self.start().address()

    def connect(self) -> RemoteMicroscope:
        self.start()
        return RemoteMicroscope(self.address(), "the session", timeout_s=PATIENCE_S)

    def exposures(self) -> Counter[str]:
        """Number of exposures of each request."""
        lines = (self.folder / "actions").read_text().splitlines()
        return Counter(line.split()[1] for line in lines if line.startswith("acquire "))


@contextmanager
def restartable_bridge(faults: str = "", relayed: bool = False) -> Iterator[RestartableBridge]:
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        folder = Path(name)
        (folder / "fake.toml").write_text(f'action_log = "{folder / "actions"}"\n')
        (folder / "faults.toml").write_text(faults)
        setup = RestartableBridge(folder, (folder / "faults.toml",) if faults else ())
        try:
            address = setup.start().address()
            if relayed:
                with Relay(address, folder / "relay.sock") as setup.relay:
                    yield setup
            else:
                yield setup
        finally:
            assert setup.bridge is not None
            setup.bridge.terminate()


def run_in(
    setup: RestartableBridge,
    look: Callable[[Event, Engine], None] = lambda event, engine: None,
    protocol: str = AT_ONCE,
) -> Run:
    run = Run(open_session(setup.folder / "s", protocol), connect=setup.connect, on_event=look)
    assert run.go() is ExitCode.OK
    return run


def assert_whole(setup: RestartableBridge) -> None:
    """Check that every tilt is there once, in order and bit for bit, and was exposed once."""
    honest = FakeMicroscope()
    for series, tilts in (("A", TILTS_A), ("B", TILTS_B)):
        lines = (setup.folder / "s" / f"{series}.rawtlt").read_text().split()
        assert [float(line) for line in lines] == tilts
        honest.flipped = series == "B"
        taken = [
            e.info for e in entries(setup) if isinstance(e, FrameWritten) if e.series == series
        ]
        images = mrcfile.read(setup.folder / "s" / f"{series}.mrc")
        for info, image in zip(taken, images, strict=True):
            honest.stage = info.stage
            assert np.array_equal(image, honest.image(info.scan))
    assert set(setup.exposures().values()) == {1}
    frames = [e for e in entries(setup) if isinstance(e, FrameWritten)]
    assert len({e.info.request_id for e in frames}) == len(frames) == len(TILTS_A + TILTS_B)


def entries(setup: RestartableBridge) -> list[object]:
    return [line.entry for line in read_journal(setup.folder / "s" / "journal.jsonl").lines]


def paused(run: Run) -> list[str]:
    return [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]


def test_bridge_killed_in_an_exposure_is_found_again_and_the_tilt_retaken() -> None:
    with restartable_bridge('[[fault]]\nkind = "bridge-dies"\nat = "A-003"\n') as setup:
        run = run_in(setup)
        assert_whole(setup)
        boots = [
            e.boot_id
            for e in entries(setup)
            if isinstance(e, Exposing) and (e.step_id, e.purpose) == ("A-003", "frame-0")
        ]
    assert len(set(boots)) == len(boots) == 2
    assert any("restarted" in alert.text for alert in run.of(Alerted))


def test_a_frozen_bridge_is_waited_for_and_nothing_is_repeated() -> None:
    with restartable_bridge(
        '[[fault]]\nkind = "bridge-freezes"\nat = "A-003"\nfor_s = 6.0\n'
    ) as setup:
        run = run_in(setup)
        assert_whole(setup)
    assert any("connection to the microscope PC lost; retrying" in reason for reason in paused(run))


def test_a_network_outage_of_many_leases_loses_no_frame() -> None:
    with restartable_bridge(relayed=True) as setup:

        def cut(event: Event, engine: Engine) -> None:
            if is_frame(event, "A", 1):
                assert setup.relay is not None
                setup.relay.passing.clear()
                threading.Timer(6 * LEASE_S, setup.relay.passing.set).start()

        run = run_in(setup, cut)
        assert_whole(setup)
    assert any("connection to the microscope PC lost; retrying" in reason for reason in paused(run))


@pytest.mark.parametrize("replies", [1, 3])
def test_replies_lost_on_the_way_are_asked_for_again(replies: int) -> None:
    with restartable_bridge(relayed=True) as setup:

        def lose(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.frame.section == 1:
                assert setup.relay is not None
                setup.relay.replies_to_lose = replies

        run_in(setup, lose)
        assert setup.relay is not None and setup.relay.replies_to_lose == 0  # the replies were lost
        assert_whole(setup)


def test_damaged_pixels_are_read_again_without_new_dose() -> None:
    with restartable_bridge(relayed=True) as setup:

        def damage(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.frame.section == 1:
                assert setup.relay is not None
                setup.relay.frames_to_damage = 1

        run_in(
            setup, damage, AT_ONCE + "enabled = false\n"
        )  # without tracking shots the next frame is that of a tilt
        assert (
            setup.relay is not None and setup.relay.frames_to_damage == 0
        )  # the frame was damaged
        assert_whole(setup)
        asked = [e for e in entries(setup) if isinstance(e, Exposing)]
        assert len({e.request_id for e in asked}) == len(asked)


def run_in_child(
    setup: RestartableBridge, look: Callable[[Event], None] = lambda event: None
) -> int:
    """Run the session in a child process; return its process id."""
    address = setup.address()
    child = os.fork()
    if child == 0:
        run = Run(
            open_session(setup.folder / "s", AT_ONCE),
            connect=lambda: RemoteMicroscope(address, "the session", timeout_s=PATIENCE_S),
            on_event=lambda event, engine: look(event),
        )
        os._exit(run.go())
    return child


def wait_for_no_holder(setup: RestartableBridge) -> None:
    """Wait until no session is in charge, and check that the column is safe."""
    reader = RemoteMicroscope(setup.address(), None)
    while reader.report().holder is not None:
        time.sleep(0.02)
    assert reader.status().beam_blanked
    reader.close()


def test_a_session_that_was_frozen_takes_a_new_lease_and_continues() -> None:
    with restartable_bridge() as setup:
        child = run_in_child(setup, stop_itself_after_a_frame)
        os.waitpid(child, os.WUNTRACED)
        wait_for_no_holder(setup)
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == ExitCode.OK
        assert_whole(setup)
        events = (setup.folder / "audit").read_text()
    assert events.count('"holder": "the session"') == 2
    assert "no longer controls the microscope" in events


def stop_itself_after_a_frame(event: Event) -> None:
    if is_frame(event, "A", 1):
        os.kill(os.getpid(), signal.SIGSTOP)


def kill_itself_after_a_frame(event: Event) -> None:
    if is_frame(event, "A", 1):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_second_session_is_refused_while_the_first_one_runs() -> None:
    refused: list[str] = []
    with restartable_bridge() as setup:

        def intrude(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.frame.section == 1 and not refused:
                with pytest.raises(LeaseError) as caught:
                    RemoteMicroscope(setup.address(), "an intruder")
                refused.append(str(caught.value))
                reader = RemoteMicroscope(setup.address(), None)
                assert reader.status().beam_blanked
                reader.close()

        run_in(setup, intrude)
        assert_whole(setup)
    assert "the session controls the microscope" in refused[0]


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
def test_a_killed_session_leaves_the_column_safe_and_is_resumed(at_once: bool) -> None:
    """If resumed at once, the session waits until the dead session's lease expires."""
    with restartable_bridge() as setup:
        child = run_in_child(setup, kill_itself_after_a_frame)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        if not at_once:
            wait_for_no_holder(setup)
        run_in(setup)
        assert_whole(setup)
