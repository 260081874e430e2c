"""A session at a bridge, disturbed again and again and resumed: what must hold after each run."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from controller.bridge import wire_messages as m
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import AcquisitionError, ConnectionLostError, Microscope
from controller.hardware.limits import SessionLimits
from controller.model.commands import Answer, StopWhen
from controller.model.events import Event, PauseCause, StateChanged
from controller.session.entries import Exposing, FrameWritten
from controller.session.journal import read_journal
from controller.session.ledger import replay
from controller.session.session import Session
from tests.support.fake_behaviour import FakeSettings
from tests.support.fake_microscope import FakeMicroscope
from tests.support.local_bridge import LocalBridge
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session

KINDS = (
    "crash",
    "abort",
    "stop after the tilt",
    "pause",
    "request lost",
    "reply lost",
    "bridge restarted",
    "lease taken away",
    "flip refused",
    "detector failed",
)
EXPOSURES = ("acquire", "illuminate")
MOST_REQUESTS = 25
NEEDS_OPERATOR = (PauseCause.OPERATOR, PauseCause.FAULT)
"""Pauses that only the operator ends; a fault because the second try failed as well."""


@dataclass(frozen=True)
class Disturbance:
    """One thing that goes wrong in a run, at the nth journal write, event or request of it."""

    kind: str
    at: int


RUNS = st.lists(
    st.lists(
        st.builds(Disturbance, st.sampled_from(KINDS), st.integers(0, MOST_REQUESTS)),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=3,
)
"""The disturbances of each run; then follows a run without any."""


class CrashError(BaseException):
    """End of a session's process: nothing of it may catch this."""


@dataclass
class DisturbedSession:
    """One session folder and one column over several runs."""

    folder: Path
    acknowledged: dict[tuple[str, int], int] = field(default_factory=dict)
    """Checksum of every acknowledged frame, by series and section, as first seen."""

    def __post_init__(self) -> None:
        # only the bridge can prevent that a repeated request exposes again
        settings = FakeSettings(forgets_requests=True)
        flipped = self.folder.with_name("flipped")
        self.column = FakeMicroscope(flipped_file=flipped, settings=settings)
        self.column.fault = self._check_in_charge
        self.bridge = LocalBridge(self._boot)
        self._hit = _Moments([])

    def run(self, disturbances: list[Disturbance]) -> ExitCode | None:
        """Run or resume the session; return its exit code, None after a crash."""
        hit = self._hit = _Moments(disturbances)

        is_open = False

        def crash(_: str) -> None:
            if is_open and hit("crash"):
                raise CrashError

        session = open_session(self.folder, PROTOCOL, crash)
        is_open = True
        run = Run(session, on_event=self._on_event(hit), connect=self._connect(session))  # type: ignore[arg-type]
        if any(disturbance.kind == "flip refused" for disturbance in disturbances):
            run.answers = [Answer(prompt_id="flip", value="stop")]
        self.bridge.before, self.bridge.after = self._before(hit), self._after(hit)
        try:
            return run.go()
        except CrashError:
            return None
        finally:
            self.bridge.before = self.bridge.after = lambda request: None

    def check(self) -> None:
        """Check what must hold whenever a run has ended."""
        assert self.column.blanked, "the beam was left on"
        entries = [line.entry for line in read_journal(self.folder / "journal.jsonl").lines]
        for frame in (entry for entry in entries if isinstance(entry, FrameWritten)):
            crc32 = zlib.crc32(self._pixels(frame))
            first = self.acknowledged.setdefault((frame.series, frame.section), crc32)
            assert crc32 == first == frame.crc32, f"{frame.series} section {frame.section} changed"
        announced = {entry.request_id for entry in entries if isinstance(entry, Exposing)}
        exposed = [request_id for name, request_id in self.column.log if name in EXPOSURES]
        assert len(set(exposed)) == len(exposed), "a request was exposed twice"
        assert set(exposed) <= announced, "an exposure is not in the journal"
        assert replay(entries).dose_e_per_A2 <= self.budget_e_per_A2

    budget_e_per_A2: float = 0.0

    def _boot(self, number: int) -> FakeMicroscope:
        self.column.boot_id = f"boot-{number}"
        self.column._outcomes.clear()  # a new process knows no earlier request
        return self.column

    def _check_in_charge(self, action: str, request_id: str) -> None:
        if action in (*EXPOSURES, "move"):
            assert self.bridge.handler.lease_holder is not None, f"{action}: nobody is in charge"
        if action == "acquire" and self._hit("detector failed"):
            self.column._note(action, request_id)  # the beam was on
            raise AcquisitionError("the detector failed")

    def _connect(self, session: Session) -> Callable[[], Microscope]:
        budget = session.protocol.limits.dose_budget_e_per_A2
        self.budget_e_per_A2 = budget

        def connect() -> Microscope:
            spent = session.ledger.dose_e_per_A2
            return self.bridge.connect(
                SessionLimits(dose_budget_e_per_A2=budget, dose_spent_e_per_A2=spent)
            )

        return connect

    def _on_event(self, hit: _Moments) -> Callable[[Event, Engine], None]:
        def on_event(event: Event, engine: Engine) -> None:
            with suppress(UsageError):  # the session has just ended: the operator is told so
                if hit("abort"):
                    engine.stop(StopWhen.NOW)
                if hit("stop after the tilt"):
                    engine.stop(StopWhen.AFTER_TILT)
                if hit("pause"):
                    engine.pause()
            if isinstance(event, StateChanged) and event.pause_cause in NEEDS_OPERATOR:
                engine.go_on()

        return on_event

    def _before(self, hit: _Moments) -> Callable[[m.Request], None]:
        def before(request: m.Request) -> None:
            if not isinstance(request, m.Perform):
                return
            if hit("request lost"):
                raise ConnectionLostError("the request was lost")
            if hit("bridge restarted"):
                self.bridge.restart()
            if hit("lease taken away"):
                self.bridge.take_lease_away()

        return before

    def _after(self, hit: _Moments) -> Callable[[m.Request], None]:
        def after(request: m.Request) -> None:
            exposes = isinstance(request, m.Perform) and request.action.kind in EXPOSURES
            if exposes and hit("reply lost"):
                raise ConnectionLostError("the reply was lost")

        return after

    def _pixels(self, frame: FrameWritten) -> bytes:
        data = (self.folder / f"{frame.series}.mrc").read_bytes()
        scan = frame.info.scan
        return data[frame.offset : frame.offset + 2 * scan.width_px * scan.height_px]


class _Moments:
    """Tells, once for each disturbance of a run, that its moment has come."""

    def __init__(self, disturbances: list[Disturbance]) -> None:
        self._left = [[disturbance.kind, disturbance.at] for disturbance in disturbances]
        self._lock = threading.Lock()

    def __call__(self, kind: str) -> bool:
        with self._lock:
            due = False
            for waiting in [waiting for waiting in self._left if waiting[0] == kind]:
                if waiting[1] == 0:
                    self._left.remove(waiting)
                    due = True
                else:
                    waiting[1] -= 1
            return due


def disturb(folder: Path, runs: list[list[Disturbance]]) -> None:
    """Disturb a session in `folder` run after run, then let it finish; check after every run."""
    session = DisturbedSession(folder)
    try:
        for disturbances in runs:
            ended = session.run(disturbances) is ExitCode.OK
            session.check()
            if ended:
                break
        else:
            assert session.run([]) is ExitCode.OK
            session.check()
    finally:
        session.bridge.close()
    assert len(session.acknowledged) >= len(TILTS_A) + len(TILTS_B)
