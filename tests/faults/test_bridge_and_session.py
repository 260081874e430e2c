"""A session over a bridge in its own process, while bridge, network or session itself fail.

Times are real, but scaled: a lease of half a second stands for the one and a half of every day.
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
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and Unix sockets")

LEASE_S = 0.5
PATIENCE_S = 1.0
AT_ONCE = PROTOCOL + "[tracking]\nsettle_s = 0.0\n"


@dataclass
class House:
    """A bridge with the fake behind it, started again when it is gone, and a way to it."""

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
        """How often each request has exposed the specimen."""
        lines = (self.folder / "actions").read_text().splitlines()
        return Counter(line.split()[1] for line in lines if line.startswith("acquire "))


@contextmanager
def house(faults: str = "", relayed: bool = False) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        folder = Path(name)
        (folder / "fake.toml").write_text(f'action_log = "{folder / "actions"}"\n')
        (folder / "faults.toml").write_text(faults)
        home = House(folder, (folder / "faults.toml",) if faults else ())
        try:
            address = home.start().address()
            if relayed:
                with Relay(address, folder / "relay.sock") as home.relay:
                    yield home
            else:
                yield home
        finally:
            assert home.bridge is not None
            home.bridge.terminate()


def run_in(
    home: House,
    look: Callable[[Event, Engine], None] = lambda event, engine: None,
    protocol: str = AT_ONCE,
) -> Run:
    run = Run(open_session(home.folder / "s", protocol), connect=home.connect, on_event=look)
    assert run.go() is ExitCode.OK
    return run


def assert_whole(home: House) -> None:
    """Every tilt once, in its place, bit for bit, and no request exposed twice."""
    honest = FakeMicroscope()
    for series, tilts in (("A", TILTS_A), ("B", TILTS_B)):
        lines = (home.folder / "s" / f"{series}.rawtlt").read_text().split()
        assert [float(line) for line in lines] == tilts
        honest.flipped = series == "B"
        taken = [e.info for e in entries(home) if isinstance(e, FrameWritten) if e.series == series]
        images = mrcfile.read(home.folder / "s" / f"{series}.mrc")
        for info, image in zip(taken, images, strict=True):
            honest.stage = info.stage
            assert np.array_equal(image, honest.image(info.scan))
    assert set(home.exposures().values()) == {1}
    frames = [e for e in entries(home) if isinstance(e, FrameWritten)]
    assert len({e.info.request_id for e in frames}) == len(frames) == len(TILTS_A + TILTS_B)


def entries(home: House) -> list[object]:
    return [line.entry for line in read_journal(home.folder / "s" / "journal.jsonl").lines]


def paused(run: Run) -> list[str]:
    return [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]


def test_bridge_killed_in_an_exposure_is_found_again_and_the_tilt_retaken() -> None:
    with house('[[fault]]\nkind = "bridge-dies"\nat = "A-002"\n') as home:
        run = run_in(home)
        assert_whole(home)
        boots = [
            e.boot_id
            for e in entries(home)
            if isinstance(e, Exposing) and (e.step_id, e.purpose) == ("A-002", "frame-0")
        ]
    assert len(set(boots)) == len(boots) == 2
    assert any("restarted" in alert.text for alert in run.of(Alerted))


def test_a_frozen_bridge_is_waited_for_and_nothing_is_repeated() -> None:
    with house('[[fault]]\nkind = "bridge-freezes"\nat = "A-002"\nfor_s = 3.0\n') as home:
        run = run_in(home)
        assert_whole(home)
    assert any("out of reach" in reason for reason in paused(run))


def test_the_network_gone_for_many_leases_costs_no_frame() -> None:
    with house(relayed=True) as home:

        def cut(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and (event.series, event.index) == ("A", 1):
                assert home.relay is not None
                home.relay.passing.clear()
                threading.Timer(6 * LEASE_S, home.relay.passing.set).start()

        run = run_in(home, cut)
        assert_whole(home)
    assert any("out of reach" in reason for reason in paused(run))


@pytest.mark.parametrize("replies", [1, 3])
def test_replies_lost_on_the_way_are_asked_for_again(replies: int) -> None:
    with house(relayed=True) as home:

        def lose(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.index == 1:
                assert home.relay is not None
                home.relay.replies_to_lose = replies

        run_in(home, lose)
        assert home.relay is not None and home.relay.replies_to_lose == 0  # they were lost
        assert_whole(home)


def test_damaged_pixels_are_read_again_without_new_dose() -> None:
    with house(relayed=True) as home:

        def damage(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.index == 1:
                assert home.relay is not None
                home.relay.frames_to_damage = 1

        run_in(home, damage, AT_ONCE + "enabled = false\n")  # the next frame is a tilt's
        assert home.relay is not None and home.relay.frames_to_damage == 0  # it was damaged
        assert_whole(home)
        asked = [e for e in entries(home) if isinstance(e, Exposing)]
        assert len({e.request_id for e in asked}) == len(asked)


def run_in_child(home: House, look: Callable[[Event], None] = lambda event: None) -> int:
    """Run the session in a process of its own; return its id."""
    address = home.address()
    child = os.fork()
    if child == 0:
        run = Run(
            open_session(home.folder / "s", AT_ONCE),
            connect=lambda: RemoteMicroscope(address, "the session", timeout_s=PATIENCE_S),
            on_event=lambda event, engine: look(event),
        )
        os._exit(run.go())
    return child


def wait_for_no_holder(home: House) -> None:
    """Wait until the bridge has let go of its controller, and see that the column is safe."""
    onlooker = RemoteMicroscope(home.address(), None)
    while onlooker.report().holder is not None:
        time.sleep(0.02)
    assert onlooker.status().beam_blanked
    onlooker.close()


def test_a_session_that_was_frozen_finds_its_lease_gone_and_goes_on() -> None:
    with house() as home:
        child = run_in_child(home, stop_itself_after_a_frame)
        os.waitpid(child, os.WUNTRACED)
        wait_for_no_holder(home)
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == ExitCode.OK
        assert_whole(home)
        events = (home.folder / "audit").read_text()
    assert events.count("lease to the session") == 2
    assert "this lease has ended" in events or "the lease has expired" in events


def stop_itself_after_a_frame(event: Event) -> None:
    if isinstance(event, FrameRecorded) and (event.series, event.index) == ("A", 1):
        os.kill(os.getpid(), signal.SIGSTOP)


def kill_itself_after_a_frame(event: Event) -> None:
    if isinstance(event, FrameRecorded) and (event.series, event.index) == ("A", 1):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_second_session_is_refused_while_the_first_one_runs() -> None:
    refused: list[str] = []
    with house() as home:

        def intrude(event: Event, engine: Engine) -> None:
            if isinstance(event, FrameRecorded) and event.index == 1 and not refused:
                with pytest.raises(LeaseError) as caught:
                    RemoteMicroscope(home.address(), "an intruder")
                refused.append(str(caught.value))
                onlooker = RemoteMicroscope(home.address(), None)
                assert onlooker.status().beam_blanked
                onlooker.close()

        run_in(home, intrude)
        assert_whole(home)
    assert "the session is in charge" in refused[0]


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
def test_a_killed_session_leaves_the_column_safe_and_is_resumed(at_once: bool) -> None:
    """At once the dead session's lease is still held: it is waited for."""
    with house() as home:
        child = run_in_child(home, kill_itself_after_a_frame)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        if not at_once:
            wait_for_no_holder(home)
        run_in(home)
        assert_whole(home)
