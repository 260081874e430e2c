"""Faults of beam, valves, current, dose, disk and connection: wait, continue or end safely."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import engine as engine_module
from controller.engine import recovery
from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    BeamLostError,
    ConnectionLostError,
    LeaseError,
    MicroscopeError,
    VacuumError,
    ValvesClosedError,
)
from controller.model.commands import StopWhen
from controller.model.events import Alerted, Checked, Event, FrameRecorded, State, StateChanged
from controller.procedures import context as context_module
from controller.procedures import guarded_microscope as microscope_module
from controller.session.ballast import Ballast
from controller.session.entries import Entry, Exposing, FrameWritten
from controller.session.journal import read_journal
from processing.files.mrc_writer import MrcStackWriter
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, FakeJobs, Run, open_session


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "BEAM_STABLE_S", 0.1)
    monkeypatch.setattr(microscope_module, "FIRST_RETRY_AFTER_S", 0.02)
    monkeypatch.setattr(context_module, "RETRY_WRITE_AFTER_S", 0.05)


def raise_once(where: str, error: MicroscopeError) -> Callable[[str, str], None]:
    left = [error]

    def fault(action: str, request_id: str) -> None:
        if where in request_id and left:
            raise left.pop()

    return fault


def paused(run: Run) -> list[str]:
    return [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]


def complete(path: Path) -> bool:
    return [
        [float(line) for line in (path / f"{series}.rawtlt").read_text().split()]
        for series in ("A", "B")
    ] == [TILTS_A, TILTS_B]


@dataclass(frozen=True)
class Fault:
    name: str
    error: MicroscopeError
    advice: str
    """Advice in the reason of the pause; empty if the session continues without one."""
    by_itself: bool = False


FAULTS = [
    Fault("beam lost", BeamLostError("no emission"), "resumes automatically", by_itself=True),
    Fault("valves closed", ValvesClosedError("valves closed"), "open the column valves"),
    Fault("vacuum", VacuumError("pressure too high"), "wait for the vacuum"),
    Fault("no frame", AcquisitionError("detector timed out"), ""),
    Fault("action aborted", AbortedError("the lease ran out"), ""),
    Fault("out of reach", ConnectionLostError("no answer"), "PC lost; retrying", by_itself=True),
    Fault(
        "lease lost",
        LeaseError("held by another"),
        "control of the microscope lost; retrying",
        by_itself=True,
    ),
    Fault("anything else", MicroscopeError("odd"), "correct the fault, then go on"),
]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
def test_a_fault_is_waited_out_and_no_frame_is_missing(tmp_path: Path, case: Fault) -> None:
    microscope = FakeMicroscope(fault=raise_once("A-003/frame", case.error))
    run = Run(open_session(tmp_path / "s"), microscope)

    def person(event: Event, engine: Any) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            assert microscope.blanked
            if not case.by_itself:
                threading.Timer(0.02, engine.go_on).start()

    run.on_event = person
    assert run.go() is ExitCode.OK
    assert complete(tmp_path / "s")
    assert len(paused(run)) == (1 if case.advice else 0)
    assert all(case.advice in reason for reason in paused(run))


def test_a_lost_reply_is_requested_again_and_the_action_done_once(tmp_path: Path) -> None:
    left = ["lost"]

    def lose_reply(action: str, request_id: str) -> None:
        if action == "acquired" and "A-003/frame" in request_id and left:
            left.pop()
            raise ConnectionLostError("the reply was lost")

    microscope = FakeMicroscope(fault=lose_reply)
    run = Run(open_session(tmp_path / "s"), microscope)
    assert run.go() is ExitCode.OK
    asked = [request_id for name, request_id in microscope.log if "A-003/frame" in request_id]
    assert len(asked) == 1
    assert complete(tmp_path / "s")


def test_a_tilt_is_retaken_after_a_restarted_bridge_and_its_exposure_charged(
    tmp_path: Path,
) -> None:
    old, new = FakeMicroscope("boot-1"), FakeMicroscope("boot-2")
    microscopes = [old, new]

    def die(action: str, request_id: str) -> None:
        if "A-003/frame" in request_id or dead:
            dead.append(True)
            raise ConnectionLostError("the bridge is gone")

    dead: list[bool] = []
    old.fault = die
    run = Run(open_session(tmp_path / "s"), connect=lambda: microscopes.pop(0))
    assert run.go() is ExitCode.OK
    assert complete(tmp_path / "s")
    first = [(name, "A-start" in request_id) for name, request_id in new.log][:2]
    assert first == [("blank", False), ("blank", False)]
    lines = read_journal(tmp_path / "s" / "journal.jsonl").lines
    frames = [
        e.entry for e in lines if isinstance(e.entry, Exposing) and e.entry.step_id == "A-003"
    ]
    assert [e.boot_id for e in frames if e.purpose == "frame-0"] == ["boot-1", "boot-2"]
    written = [e.entry for e in lines if isinstance(e.entry, FrameWritten)]
    in_all = sum({f.info.request_id: f.info.dose_e_per_A2 for f in written}.values())
    assert run.of(FrameRecorded)[-1].dose_e_per_A2 > in_all + written[0].info.dose_e_per_A2


def test_the_stage_is_read_again_after_a_reconnection(tmp_path: Path) -> None:
    """The lost microscope never answers again, so asking it would never end."""
    old, new = FakeMicroscope("boot-1"), FakeMicroscope("boot-2")
    waiting = [old, new]

    def die_after_a_frame(action: str, request_id: str) -> None:
        if action == "acquired" and "A-002/frame" in request_id:
            old.fault = dead

    def dead(action: str, request_id: str) -> None:
        raise ConnectionLostError("the bridge is gone")

    old.fault = die_after_a_frame
    run = Run(open_session(tmp_path / "s"), connect=lambda: waiting.pop(0))
    watchdog = threading.Timer(10.0, run.engine.stop, (StopWhen.NOW,))
    watchdog.start()
    assert run.go() is ExitCode.OK
    watchdog.cancel()
    assert complete(tmp_path / "s")


def test_every_failed_connection_is_closed(tmp_path: Path) -> None:
    """Every connection is closed in the end, also one that answered only once."""
    clients = [FakeMicroscope() for _ in range(4)]
    for client in clients:
        client.current_pA = 70.0  # one column, set for series A
    lost = ConnectionLostError("gone again")
    waiting = list(clients)

    def gone(action: str, request_id: str) -> None:
        if "A-003/frame" in request_id or (action == "status" and clients[0].fault is broken):
            clients[0].fault = broken
            raise lost

    def broken(action: str, request_id: str) -> None:
        raise lost

    def hardly(action: str, request_id: str) -> None:
        if action == "status":
            raise lost

    clients[0].fault, clients[1].fault, clients[2].fault = gone, hardly, hardly
    run = Run(open_session(tmp_path / "s"), connect=lambda: waiting.pop(0))
    assert run.go() is ExitCode.OK
    assert complete(tmp_path / "s")
    assert all(("close", "") in client.log for client in clients)


def test_no_microscope_at_all_is_a_bridge_error(tmp_path: Path) -> None:
    def nobody() -> FakeMicroscope:
        raise ConnectionLostError("nothing listens there")

    run = Run(open_session(tmp_path / "s"), connect=nobody)
    assert run.go() is ExitCode.BRIDGE
    assert "cannot be reached: nothing listens there" in run.of(StateChanged)[-1].reason


def held_by_another(times: int) -> Callable[[], FakeMicroscope]:
    """Return a connect function that is refused the lease the first `times` calls."""
    left = [LeaseError("the session that died controls the microscope")] * times

    def connect() -> FakeMicroscope:
        if left:
            raise left.pop()
        return FakeMicroscope()

    return connect


@pytest.mark.parametrize(
    ("times", "code"),
    [(3, ExitCode.OK), (10_000, ExitCode.BRIDGE)],
    ids=["lease of a dead session", "lease of a running session"],
)
def test_the_lease_of_a_dead_session_is_waited_for_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, code: ExitCode
) -> None:
    monkeypatch.setattr(engine_module, "LEASE_WAIT_S", 0.5)
    run = Run(open_session(tmp_path / "s"), connect=held_by_another(times))
    assert run.go() is code
    if code is ExitCode.BRIDGE:
        assert "the session that died controls the microscope" in run.of(StateChanged)[-1].reason


def test_the_wait_for_a_lease_can_be_stopped(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"), connect=held_by_another(10_000))
    threading.Timer(0.1, run.engine.stop, (StopWhen.NOW,)).start()
    assert run.go() is ExitCode.INTERRUPTED


# -- refusals -------------------------------------------------------------------------------


def test_the_wrong_current_ends_the_session_safely(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.current_error = 0.7
    run = Run(open_session(tmp_path / "s"), microscope)
    assert run.go() is ExitCode.SAFETY
    assert "28.0 pA; the protocol requires 40 pA" in run.of(StateChanged)[-1].reason
    assert microscope.exposures == 0


def test_the_preflight_shows_every_failure_at_once(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.valves_open = False
    protocol = PROTOCOL + "dose_budget_e_per_A2 = 100.0\n[column]\nvoltage_kV = 200.0\n"
    run = Run(open_session(tmp_path / "s", protocol), microscope)
    assert run.go() is ExitCode.SAFETY
    assert {e.name for e in run.of(Checked) if not e.ok} == {"voltage", "valves", "dose"}
    details = {e.name: e.detail for e in run.of(Checked)}
    assert "found" in details["voltage"] and details["voltage"].endswith("required")
    reason = run.of(StateChanged)[-1].reason
    assert "3 of" in reason
    assert microscope.exposures == 0


def test_an_exposure_beyond_the_dose_budget_is_refused(tmp_path: Path) -> None:
    planned = 1718.0  # what the plan costs; retakes then meet the budget
    protocol = PROTOCOL + f"dose_budget_e_per_A2 = {planned + 50.0}\n[quality]\nmax_retakes = 5\n"
    microscope = FakeMicroscope()
    microscope.spoil = lambda request_id, p: (
        p * 0 if "/A-00" in request_id and "frame" in request_id else p
    )
    run = Run(open_session(tmp_path / "s", protocol), microscope)
    assert run.go() is ExitCode.SAFETY
    assert "limits.dose_budget_e_per_A2" in run.of(StateChanged)[-1].reason
    spent = max(e.dose_e_per_A2 for e in run.of(FrameRecorded))
    assert spent <= planned + 50.0
    assert microscope.blanked


# -- no memory ------------------------------------------------------------------------------


class PanicException(BaseException):
    """The way in which a library written in Rust gives up."""


def failed(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def failed_in_pydantic() -> Callable[[], None]:
    """Return a function of pydantic's that finds its own object without its attributes."""
    module: dict[str, Any] = {"__name__": "pydantic.main"}
    exec("def validate():\n    object().__dict__", module)
    return module["validate"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "fail",
    [
        failed(MemoryError()),
        failed(SystemError("error return without exception set")),
        failed(PanicException("PyObject pointer is null")),
        failed_in_pydantic(),
    ],
    ids=["Python", "a library in C", "a library in Rust", "a model half made"],
)
def test_no_memory_ends_the_session_safely_and_it_is_resumed(
    tmp_path: Path, fail: Callable[[], None]
) -> None:
    def no_memory(action: str, request_id: str) -> None:
        if "A-003/frame" in request_id:
            fail()

    microscope = FakeMicroscope(fault=no_memory)
    run = Run(open_session(tmp_path / "s"), microscope)
    assert run.go() is ExitCode.SAFETY
    assert microscope.blanked
    reason = run.of(StateChanged)[-1].reason
    assert "memory" in reason and f"dualtilt resume {tmp_path / 's'}" in reason
    assert "\n" not in reason
    microscope.fault = lambda action, request_id: None
    assert Run(open_session(tmp_path / "s"), microscope).go() is ExitCode.OK
    assert complete(tmp_path / "s")


# -- the disk -------------------------------------------------------------------------------


def test_a_full_disk_keeps_the_frame_and_the_session_continues_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = MrcStackWriter.append
    full = [3]

    def no_room(self: MrcStackWriter, image: Any) -> Any:
        if self.sections == 2 and full[0]:
            full[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, image)

    monkeypatch.setattr(MrcStackWriter, "append", no_room)
    microscope = FakeMicroscope()
    run = Run(open_session(tmp_path / "s"), microscope)
    assert run.go() is ExitCode.OK
    assert complete(tmp_path / "s")
    assert len(paused(run)) == 3
    assert all("No space left" in reason and "kept in memory" in reason for reason in paused(run))
    asked = [request_id for _, request_id in microscope.log if "A-003/frame" in request_id]
    assert len(asked) == 1  # the disk costs no dose


def test_a_full_disk_before_an_exposure_is_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(open_session(tmp_path / "s"))
    enter = run.session.enter
    full = [2]

    def no_room(entry: Entry) -> None:
        if isinstance(entry, Exposing) and entry.step_id == "A-002" and full[0]:
            full[0] -= 1
            raise OSError(errno.EROFS, "Read-only file system")
        enter(entry)

    monkeypatch.setattr(run.session, "enter", no_room)
    assert run.go() is ExitCode.OK
    assert complete(tmp_path / "s")
    assert ["Read-only file system" in reason for reason in paused(run)] == [True, True]


def test_a_session_without_reserved_disk_space_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(self: Ballast, size_bytes: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ballast, "reserve", no_room)
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.SAFETY
    assert "no disk space can be reserved" in run.of(StateChanged)[-1].reason
    assert run.microscope.exposures == 0


def test_a_report_that_fails_does_not_lose_the_session(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"), jobs=FakeJobs())

    def broken(folder: Path) -> Path:
        raise ValueError("no figures")

    run.engine._write_report = broken
    assert run.go() is ExitCode.PROCESSING_FAILED
    assert "no figures" in run.of(StateChanged)[-1].reason
    assert complete(tmp_path / "s")
    assert any("no figures" in alert.text for alert in run.of(Alerted))
