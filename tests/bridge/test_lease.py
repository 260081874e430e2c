"""Lease: one session at a time; the column is made safe when the lease is not renewed."""

from __future__ import annotations

import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from controller.app.cli.bridge import DEFAULT_LEASE_S
from controller.bridge import wire_messages as m
from controller.bridge.lease import Lease
from controller.bridge.request_handler import WATCHDOG_INTERVAL_S, RequestHandler
from controller.hardware.interface import ConnectionLostError, LeaseError, MicroscopeError
from controller.model.stage import StagePosition
from tests.bridge.relay import Relay
from tests.bridge.rig import AT_MOST_S, IMPATIENT_S, SCAN, open_rig, wait_until
from tests.support.fake_microscope import FakeMicroscope
from tests.support.processes import python

SHORT_LEASE_S = 1.5


class Clock:
    """Clock that is set by the test."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("silent_s", "in_charge"),
    [
        pytest.param(0.0, True, id="fresh"),
        pytest.param(4.9, True, id="just in time"),
        pytest.param(5.1, False, id="too late"),
    ],
)
def test_a_lease_expires_after_its_duration(silent_s: float, in_charge: bool) -> None:
    clock = Clock()
    lease = Lease(5.0, clock)
    token = lease.take("first").token
    clock.now_s = silent_s
    assert (lease.expired_holder() is None) == in_charge
    if in_charge:
        lease.check(token)
    else:
        with pytest.raises(LeaseError):
            lease.renew(token)


def test_the_column_is_safe_within_two_seconds_of_losing_its_session() -> None:
    assert DEFAULT_LEASE_S + WATCHDOG_INTERVAL_S <= 1.7  # the column itself needs the rest


def test_a_renewal_extends_the_lease() -> None:
    clock = Clock()
    lease = Lease(5.0, clock)
    token = lease.take("first").token
    for _ in range(10):
        clock.now_s += 4.0
        lease.renew(token)
    lease.check(token)


def test_nobody_takes_over_before_the_column_is_safe() -> None:
    clock = Clock()
    lease = Lease(5.0, clock)
    lease.take("first")
    clock.now_s = 6.0
    with pytest.raises(LeaseError):
        lease.take("second")
    lease.release_expired()
    lease.take("second")


@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(lambda lease, token: lease.release(token), id="released"),
        pytest.param(
            lambda lease, token: (lease.release(token), lease.take("b")),
            id="taken by another session",
        ),
    ],
)
def test_a_token_is_invalid_after_release(stale: Callable[[Lease, str], object]) -> None:
    lease = Lease(5.0, Clock())
    token = lease.take("a").token
    stale(lease, token)
    with pytest.raises(LeaseError):
        lease.check(token)


def test_a_second_session_is_told_which_one_is_in_charge() -> None:
    with (
        open_rig() as rig,
        rig.client("Ada's session"),
        pytest.raises(LeaseError, match="Ada's session controls the microscope"),
        rig.client("Bob's session"),
    ):
        pass


def test_a_read_only_client_reads_and_makes_safe_but_does_not_act() -> None:
    with open_rig() as rig, rig.client("in charge"), rig.client(None) as reader:
        assert reader.describe().name == "fake"
        assert reader.status().beam_blanked
        assert reader.report().holder == "in charge"
        reader.make_safe("seen from outside")
        with pytest.raises(LeaseError):
            reader.move_stage("m", StagePosition())
        assert rig.actions("move") == []


def test_the_next_session_connects_after_the_first_has_closed() -> None:
    with open_rig() as rig:
        with rig.client("first"):
            pass
        assert rig.actions("make-safe the session has released the microscope")
        with rig.client("second") as second:
            assert second.report().holder == "second"


class SlowStage(FakeMicroscope):
    """Microscope whose moves end only when the test sets `arrived`."""

    def __init__(self) -> None:
        super().__init__()
        self.moving = threading.Event()
        self.arrived = threading.Event()

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        self.moving.set()
        self.arrived.wait(AT_MOST_S)
        return target


def test_nobody_takes_over_while_a_move_still_runs() -> None:
    stage = SlowStage()
    handler = RequestHandler(lambda: stage, lease_s=60)

    def ask(request: m.Request) -> m.Reply:
        return handler.handle(request.model_dump_json(), "test").reply

    granted = ask(m.TakeLease(holder="hasty"))
    assert isinstance(granted, m.Done)
    token = granted.value.token
    move = m.MoveStage(target=StagePosition(alpha_deg=9))
    with ThreadPoolExecutor(1) as threads:
        threads.submit(ask, m.Perform(token=token, request_id="m", action=move))
        assert stage.moving.wait(AT_MOST_S)
        ask(m.ReleaseLease(token=token))
        refused = ask(m.TakeLease(holder="next"))
        stage.arrived.set()
    assert isinstance(refused, m.Failed)
    assert refused.code == LeaseError.code
    wait_until(lambda: isinstance(ask(m.TakeLease(holder="next")), m.Done), "the move ends")
    handler.close("done")


@contextmanager
def asking(lease_s: float) -> Iterator[Callable[[m.Request], m.Reply]]:
    """Send requests to a handler in this process."""
    handler = RequestHandler(FakeMicroscope, lease_s)
    yield lambda request: handler.handle(request.model_dump_json(), "test").reply
    handler.close("done")


def test_a_jump_of_the_wall_clock_does_not_affect_leases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No jump ends a long lease; silence ends a short one whatever the wall clock does."""
    jumps = itertools.count()
    monkeypatch.setattr(time, "time", lambda: (-1) ** next(jumps) * 1e9)
    with asking(lease_s=600.0) as ask:
        granted = ask(m.TakeLease(holder="steady"))
        assert isinstance(granted, m.Done)
        for _ in range(20):
            time.sleep(0.5 * WATCHDOG_INTERVAL_S)
            assert isinstance(ask(m.RenewLease(token=granted.value.token)), m.Done)
    with asking(lease_s=0.5) as ask:
        ask(m.TakeLease(holder="silent"))
        wait_until(lambda: ask(m.ReadReport()).value.holder is None, "silence ends it")  # type: ignore[union-attr]


def test_automatic_renewal_keeps_an_idle_session_in_charge() -> None:
    lease_s = 3.0
    with open_rig(lease_s=lease_s) as rig, rig.client() as microscope:
        time.sleep(1.5 * lease_s)
        microscope.move_stage("after a pause", StagePosition(alpha_deg=3))
        assert rig.actions("make-safe") == []


CONTROLLER = """
import sys
from pathlib import Path
from controller.bridge.remote_microscope import connect
from controller.hardware.interface import MicroscopeError
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
microscope = connect(Path(sys.argv[1]), "doomed")
try:
    microscope.acquire("long", ScanSettings(width_px=96, height_px=64, pixel_nm=1, dwell_us=1))
except MicroscopeError:
    pass
try:
    microscope.move_stage("afterwards", StagePosition(alpha_deg=1))
except MicroscopeError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL], ids=["frozen", "killed"])
def test_a_session_lost_in_an_exposure_leaves_the_column_safe(fate: signal.Signals) -> None:
    with (
        open_rig(lease_s=SHORT_LEASE_S, exposure_s=600) as rig,
        python(
            "-c", CONTROLLER, str(rig.bridge.connection_file), stdout=subprocess.PIPE
        ) as controller,
    ):
        wait_until(lambda: rig.actions("acquire long"), "the exposure begins")
        controller.send_signal(fate)
        with rig.client(None) as reader:
            wait_until(lambda: reader.report().holder is None, "the lease runs out")
            assert reader.status().beam_blanked
            assert not reader.status().busy
        assert rig.actions("make-safe doomed no longer answers")
        with rig.client("next"):
            controller.send_signal(signal.SIGCONT)
            said, _ = controller.communicate()
            assert said.strip() == ("LeaseError" if fate == signal.SIGSTOP else "")
        assert rig.actions("move") == []


def test_network_outage_longer_than_the_lease() -> None:
    with (
        open_rig(lease_s=SHORT_LEASE_S) as rig,
        Relay(rig.address, rig.folder / "relay.sock") as relay,
    ):
        with rig.client("far away", address=relay.address, timeout_s=IMPATIENT_S) as microscope:
            relay.passing.clear()
            wait_until(
                lambda: rig.actions("make-safe far away no longer answers"), "the bridge makes safe"
            )
            with pytest.raises(ConnectionLostError):
                microscope.status()
            relay.passing.set()
            with pytest.raises(MicroscopeError):
                microscope.move_stage("late", StagePosition(alpha_deg=1))
        with rig.client("far away, again", address=relay.address) as microscope:
            assert microscope.acquire("retaken", SCAN).info.request_id == "retaken"


def test_a_network_outage_shorter_than_the_lease_keeps_it() -> None:
    with (
        open_rig() as rig,
        Relay(rig.address, rig.folder / "relay.sock") as relay,
        rig.client(address=relay.address, timeout_s=IMPATIENT_S) as microscope,
    ):
        relay.passing.clear()
        with pytest.raises(ConnectionLostError):
            microscope.status()
        relay.passing.set()
        assert microscope.acquire("same tilt", SCAN).info.request_id == "same tilt"
        assert rig.actions("make-safe") == []
