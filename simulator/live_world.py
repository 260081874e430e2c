"""World of the simulator while a process runs it: shared by threads, saved after every change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.hardware.interface import AbortedError, ValvesClosedError
from controller.model.stage import StagePosition
from simulator import stage
from simulator.settings import SimulatorSettings, TimeKeeping
from simulator.world import World, open_world, save_world


@dataclass(frozen=True)
class Move:
    """Stage move in progress."""

    start: StagePosition
    target: StagePosition
    started_s: float
    duration_s: float


class LiveWorld:
    """World with its clock.

    Hold `changed` while several attributes are read or changed together. Threads that wait for
    time to pass are woken through it.
    """

    def __init__(self, settings: SimulatorSettings, state_path: Path | None) -> None:
        self.state: World = open_world(settings, state_path)
        self.changed = threading.Condition()
        self.stage_stops = 0
        """Number of calls of `stop_stage`."""
        self.safe_calls = 0
        """Number of calls of `make_safe`."""
        self.move: Move | None = None
        self._seed = settings.seed
        self._state_path = state_path
        self.real_time = settings.time is TimeKeeping.REAL
        self._clock_zero_s = time.monotonic() - self.state.clock_s
        self.update()

    def now_s(self) -> float:
        """Return the time of the microscope clock, s."""
        return time.monotonic() - self._clock_zero_s if self.real_time else self.state.clock_s

    def reported_position(self) -> StagePosition:
        """Return the reported stage position, also during a move."""
        if self.move is None:
            return self.state.stage.reported
        elapsed_s, duration_s = self.now_s() - self.move.started_s, self.move.duration_s
        fraction = elapsed_s / duration_s if duration_s else 1.0
        return stage.interpolate(self.move.start, self.move.target, min(1.0, fraction))

    def rng(self, stream: int, number: int) -> np.random.Generator:
        """Return the random generator of one event: its kind and its number determine it."""
        return np.random.default_rng([self._seed, stream, number])

    def update(self, **changes: object) -> None:
        """Change fields of the state and save it. Hold `changed`."""
        if self.real_time:
            changes["clock_s"] = self.now_s()
        self.state = self.state.model_copy(update=changes)
        if self._state_path is not None:
            save_world(self.state, self._state_path)

    def end_move(self, at_end: stage.StageTruth) -> None:
        """Set the state of the stage at the end of a move. Hold `changed`."""
        self.move = None
        self.update(stage=at_end, moves=self.state.moves + 1)

    def pass_time(self, duration_s: float, interrupted: Callable[[], bool]) -> bool:
        """Let time pass until `interrupted`; return True if the full duration has passed."""
        with self.changed:
            if self.real_time:
                self.changed.wait_for(interrupted, timeout=max(0.0, duration_s))
                self.update()
            elif not interrupted():
                self.update(clock_s=self.state.clock_s + max(0.0, duration_s))
            return not interrupted()

    def blank(self) -> None:
        """Blank the beam and wake all waiting threads."""
        with self.changed:
            self.update(blanked=True)
            self.changed.notify_all()

    def stop_stage(self) -> None:
        """Interrupt a stage move."""
        with self.changed:
            self.stage_stops += 1
            self.changed.notify_all()

    def make_safe(self) -> None:
        """Blank the beam and interrupt everything in progress."""
        with self.changed:
            self.safe_calls += 1
            self.blank()

    def unblank(self, safe_calls: int) -> None:
        """Unblank the beam, unless the column was made safe or the valves are closed."""
        with self.changed:
            self.refuse_after_safe(safe_calls)
            if not self.state.valves_open:
                raise ValvesClosedError("the column valves are closed: open them by hand")
            self.update(blanked=False)

    def refuse_after_safe(self, safe_calls: int) -> None:
        """Raise AbortedError if `make_safe` was called since `safe_calls` was read."""
        if self.safe_calls != safe_calls:
            raise AbortedError("the column was made safe: the request was not carried out")
