"""Run a session with rehearsed faults, and read its results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.model.commands import Answer
from controller.model.events import Alerted, Event, PauseCause, State, StateChanged
from controller.rehearsal.fault_list import Fault, FaultKind
from controller.rehearsal.faulty_microscope import FaultyMicroscope
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, Run, open_session

DONE = Answer(prompt_id="flip", value="done")


def run_with(
    path: Path,
    *faults: Fault,
    protocol: str = PROTOCOL,
    microscope: Microscope | None = None,
    code: ExitCode = ExitCode.OK,
    mend: Callable[[], None] = lambda: None,
    answers: Sequence[Answer] = (DONE,),
) -> Run:
    """Run a session with these faults; `mend` is called in every pause."""

    def go_on(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            mend()
            threading.Timer(0.02, engine.go_on).start()

    faulty = FaultyMicroscope(microscope or FakeMicroscope(), faults)
    run = Run(
        open_session(path, protocol),
        connect=lambda: faulty,
        on_event=go_on,
        answers=list(answers),
    )
    assert run.go() is code
    return run


def tilts(path: Path, series: str = "A") -> list[float]:
    return [float(line) for line in (path / f"{series}.rawtlt").read_text().split()]


def alerts(run: Run, word: str) -> list[Alerted]:
    return [alert for alert in run.of(Alerted) if word in alert.text]


def pauses(run: Run) -> list[str]:
    return [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]


def pause_causes(run: Run) -> list[PauseCause | None]:
    return [e.pause_cause for e in run.of(StateChanged) if e.state is State.PAUSED]


def at(kind: FaultKind, step: str = "A-002", **details: object) -> Fault:
    return Fault.model_validate({"kind": kind, "at": step, **details})
