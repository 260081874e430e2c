"""Floods: strangers and onlookers delay neither an abort nor the dead man's switch."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from controller.bridge import wire_messages as m
from controller.bridge.client_connection import ClientConnection
from controller.bridge.hardware_threads import HardwareThreads
from controller.bridge.request_handler import RequestHandler
from controller.bridge.safety_link import SafetyLink
from controller.bridge.watch_thread import Urgency, WatchThread
from controller.common.exit_codes import ExitCode
from controller.hardware.interface import AbortedError, ConnectionLostError, MicroscopeError, Status
from tests.bridge.peer import Peer
from tests.bridge.rig import AT_MOST_S, SCAN, Rig, open_rig, wait_until
from tests.support.fake_microscope import FakeMicroscope
from tests.support.processes import python

resource = pytest.importorskip("resource", reason="Windows has no limit on open files")

FEW_DESCRIPTORS = 64
STRANGERS = 60
SHORT_LEASE_S = 1.5


@contextmanager
def few_descriptors() -> Iterator[None]:
    """Have processes that start during the block open few files at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_abort_gets_through_a_flood_that_takes_every_file_of_the_bridge() -> None:
    with ExitStack() as stack:
        with few_descriptors():
            rig = stack.enter_context(open_rig(exposure_s=600))
        microscope = stack.enter_context(rig.client(timeout_s=AT_MOST_S))
        threads = stack.enter_context(ThreadPoolExecutor(2))
        exposure = threads.submit(microscope.acquire, "long", SCAN)
        wait_until(lambda: rig.actions("acquire long"), "the exposure begins")
        for _ in range(STRANGERS):
            stack.enter_context(Peer(rig.address)).send(b"P")
        # as in a session: the abort has a thread of its own, which has no connection yet
        threads.submit(microscope.make_safe, "the operator's choice").result()
        with pytest.raises(AbortedError):
            exposure.result()
        with rig.client(None) as late:
            assert late.status().beam_blanked


def test_onlookers_that_fill_the_bridge_keep_the_session_connected() -> None:
    with ExitStack() as stack:
        with few_descriptors():
            rig = stack.enter_context(open_rig())
        microscope = stack.enter_context(rig.client())
        microscope.acquire("before", SCAN)
        for _ in range(2 * STRANGERS):
            onlooker = stack.enter_context(Peer(rig.address))
            onlooker.greet()
        microscope.acquire("after", SCAN)
        microscope.make_safe("at the end")
        assert rig.audited("connection ended") == []


def test_a_session_that_cannot_abort_falls_silent_so_that_the_bridge_acts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = ClientConnection.call

    def lose_safety_calls(connection: ClientConnection, request: m.Request) -> m.Done | m.Pending:
        if isinstance(request, m.Blank | m.StopStage | m.MakeSafe):
            raise ConnectionLostError("no room for the abort")
        return call(connection, request)

    monkeypatch.setattr(ClientConnection, "call", lose_safety_calls)
    with (
        open_rig(lease_s=SHORT_LEASE_S, exposure_s=600) as rig,
        rig.client("speechless") as microscope,
        ThreadPoolExecutor(1) as threads,
    ):
        exposure = threads.submit(microscope.acquire, "long", SCAN)
        wait_until(lambda: rig.actions("acquire long"), "the exposure begins")
        with pytest.raises(ConnectionLostError):
            microscope.make_safe("the operator's choice")
        with pytest.raises(AbortedError):
            exposure.result()
        wait_until(lambda: rig.actions("make-safe speechless no longer answers"), "it is noted")


def lost() -> ClientConnection:
    raise ConnectionLostError("no file left")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with open_rig() as rig:
        yield rig


def test_the_link_is_silent_from_a_failed_safety_call_to_the_next_one_that_gets_through(
    rig: Rig,
) -> None:
    reachable = False
    link = SafetyLink(lambda: ClientConnection(rig.address) if reachable else lost())
    assert not link.silent()
    with pytest.raises(ConnectionLostError):
        link.ask(m.Blank())
    assert link.silent()
    reachable = True
    link.ask(m.Blank())
    assert not link.silent()
    link.close()


def test_a_lost_link_is_opened_again_for_the_abort(rig: Rig) -> None:
    opened = []

    def open_connection() -> ClientConnection:
        opened.append(ClientConnection(rig.address))
        return opened[-1]

    link = SafetyLink(open_connection)
    link.open()
    opened[0]._sock.shutdown(2)
    link.ask(m.MakeSafe(reason="over the second connection"))
    assert len(opened) == 2
    assert rig.actions("make-safe over the second connection")
    link.close()


class Blockade:
    """Calls of a column that are noted; the first one lasts until `passing` is set."""

    def __init__(self) -> None:
        self.begun, self.passing = threading.Event(), threading.Event()
        self.calls: list[str] = []

    def call(self, name: str) -> str:
        self.calls.append(name)
        self.begun.set()
        assert self.passing.wait(AT_MOST_S)
        return name


def test_safety_comes_first_and_equal_status_calls_are_made_once() -> None:
    watch, column = WatchThread(), Blockade()

    def ask(urgency: Urgency, name: str) -> str:
        return watch.call(urgency, name, lambda: column.call(name))

    with ThreadPoolExecutor(102) as threads:
        first = threads.submit(ask, Urgency.STATUS, "status")
        assert column.begun.wait(AT_MOST_S)
        pollers = [threads.submit(ask, Urgency.STATUS, "status") for _ in range(100)]
        wait_until(lambda: watch.waiting() == 1, "all equal calls are one")
        blank = threads.submit(ask, Urgency.SAFETY, "blank")
        wait_until(lambda: watch.waiting() == 2, "the safety call waits too")
        column.passing.set()
        assert [call.result() for call in (first, blank, *pollers)].count("status") == 101
    assert column.calls == ["status", "blank", "status"]
    watch.close()


class OneThingAtATime(FakeMicroscope):
    """Fake microscope that notes its status and safety calls; the first one lasts."""

    def __init__(self) -> None:
        self.column = Blockade()
        super().__init__()

    def status(self) -> Status:
        self.column.call("status")
        return super().status()

    def blank(self) -> None:
        self.column.call("safety")
        super().blank()

    def stop_stage(self) -> None:
        self.column.call("safety")


SAFETY: dict[str, Callable[[HardwareThreads], None]] = {
    "blank": HardwareThreads.blank,
    "stop stage": HardwareThreads.stop_stage,
    "make safe": lambda hardware: hardware.make_safe("the session is gone"),
}


@pytest.mark.parametrize("make_safe", SAFETY.values(), ids=SAFETY.keys())
def test_every_safety_call_of_a_bridge_overtakes_the_status(
    make_safe: Callable[[HardwareThreads], None],
) -> None:
    microscope = OneThingAtATime()
    hardware, column = HardwareThreads(lambda: microscope), microscope.column
    with ThreadPoolExecutor(3) as threads:
        threads.submit(hardware.status)
        assert column.begun.wait(AT_MOST_S)
        threads.submit(hardware.status)
        wait_until(lambda: hardware._watch.waiting() == 1, "a status call waits")
        safe = threads.submit(make_safe, hardware)
        wait_until(lambda: hardware._watch.waiting() == 2, "the safety call waits too")
        column.passing.set()
        safe.result()
    assert column.calls[:2] == ["status", "safety"]
    hardware.close()


def test_a_call_for_which_nobody_waits_is_dropped_unless_it_is_for_safety(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controller.bridge.watch_thread.WATCH_TIMEOUT_S", 0.1)
    watch, column = WatchThread(), Blockade()

    def ask(urgency: Urgency, name: str) -> str:
        with pytest.raises(MicroscopeError, match="has not answered"):
            watch.call(urgency, name, lambda: column.call(name))
        return name

    with ThreadPoolExecutor(3) as threads:
        threads.submit(ask, Urgency.STATUS, "first").result()
        threads.submit(ask, Urgency.STATUS, "abandoned").result()
        threads.submit(ask, Urgency.SAFETY, "blank").result()
    column.passing.set()
    wait_until(lambda: len(column.calls) == 2, "the safety call is made")
    assert (column.calls, watch.waiting()) == (["first", "blank"], 0)
    watch.close()


def test_the_dead_mans_switch_outlives_a_driver_that_fails() -> None:
    microscope = FakeMicroscope()
    failures = []

    def fail(action: str, _: str) -> None:
        if action == "blank" and not failures:
            failures.append(action)
            raise SystemExit("a driver's own mistake")

    microscope.fault = fail
    handler = RequestHandler(lambda: microscope, lease_s=0.2)
    for holder in ("first", "second"):
        taken = m.TakeLease(holder=holder)
        wait_until(
            lambda taken=taken: isinstance(ask_handler(handler, taken), m.Done), "it is in charge"
        )
        wait_until(lambda: handler.lease_holder is None, "its lease expires")
    assert failures == ["blank"]
    assert handler.fault() == ""
    assert [reason for name, reason in microscope.log if name == "make-safe"] == [
        "second no longer answers, so it no longer controls the microscope"
    ]
    handler.close("done")


def ask_handler(handler: RequestHandler, request: m.Request) -> m.Reply:
    return handler.handle(request.model_dump_json(), "test").reply


DEAF = """
import sys, time
from controller.bridge import request_handler, run_bridge
from controller.bridge.bridge_daemon import BridgeDaemon
from controller.common import rpc_server
run_bridge.SIGNAL_INTERVAL_S = 0.05
rpc_server.STUCK_AFTER_S = 0.2
WAY = sys.argv.pop(1)
def serve(daemon):
    time.sleep(600 if WAY == "hangs" else 0)
def watch(handler):
    pass
if WAY == "lease":
    request_handler.RequestHandler._watch_lease = watch
else:
    BridgeDaemon.serve = serve
from controller.app.cli.bridge import main
raise SystemExit(main())
"""


@pytest.mark.parametrize(
    ("way", "said"),
    [
        pytest.param("ends", "accepts no connections", id="the accept loop has ended"),
        pytest.param("hangs", "accepts no connections", id="the accept loop hangs"),
        pytest.param("lease", "watches the lease", id="the lease is no longer watched"),
    ],
)
def test_a_bridge_that_has_lost_a_thread_makes_safe_and_ends(
    private_folder: Path, way: str, said: str
) -> None:
    settings, actions = private_folder / f"{way}.toml", private_folder / f"{way}.actions"
    settings.write_text(f'action_log = "{actions}"\n')
    with python(
        *("-c", DEAF, way, "--microscope", "tests.support.fake_microscope:create"),
        *("--settings", str(settings)),
        *("--connection-file", str(private_folder / "deaf.json")),
        *("--socket", str(private_folder / "deaf.sock")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as bridge:
        _, errors = bridge.communicate()
    assert bridge.returncode == ExitCode.BRIDGE
    assert said in errors and "start it again" in errors
    assert errors.count("\n") == 1
    assert "make-safe the bridge ends" in actions.read_text()
    assert not (private_folder / "deaf.json").exists()
