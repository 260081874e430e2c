"""A microscope with faults from a list, for rehearsals and tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.common.atomic import replace_text
from controller.common.bounded_read import read_bounded
from controller.hardware.interface import (
    AcquisitionError,
    BeamLostError,
    Description,
    Frame,
    Microscope,
    MicroscopeError,
    StageError,
    Status,
    VacuumError,
    ValvesClosedError,
)
from controller.model.request_ids import split_request_id
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.fault_list import AffectedAction, Fault, FaultKind
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction, simulated_operator_at

Pixels = NDArray[Any]

FRAMES_KEPT = 16

OUTAGES: dict[FaultKind, Callable[[], MicroscopeError]] = {
    FaultKind.BEAM_LOST: lambda: BeamLostError("no emission (rehearsed fault)"),
    FaultKind.VALVES_CLOSED: lambda: ValvesClosedError(
        "the column valves are closed (rehearsed fault)"
    ),
    FaultKind.VACUUM: lambda: VacuumError("the pressure is too high (rehearsed fault)"),
}
"""Errors of the faults that prevent every exposure while they last."""


class FaultyMicroscope:
    """A :class:`Microscope` that passes calls to another one and adds faults.

    Parameters
    ----------
    inner
        Microscope that carries out the calls.
    faults
        List of faults. At each action the first fault that matches it happens, at most one per
        action.
    memory
        File with the number of times each fault has happened, so that a bridge that a fault killed
        is not killed again after its restart; None: not kept.
    """

    def __init__(
        self, inner: Microscope, faults: tuple[Fault, ...], memory: Path | None = None
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._memory = memory
        self._counts = _read_counts(memory, len(faults))
        self._outage_ends_s: dict[FaultKind, float] = {}
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._previous: Frame | None = None
        """Previous frame; tracking shots do not count."""
        self._float_pixels = any(fault.kind is FaultKind.NOT_FINITE for fault in faults)
        """True if a fault gives pixels that are no numbers: then all frames have float pixels."""
        self._hidden = StagePosition()
        """Hidden offset: added to every target and subtracted from every read-back."""
        for fault, count in zip(faults, self._counts, strict=True):
            if count:
                self._displace(fault)

    def describe(self) -> Description:
        return self._inner.describe()

    def status(self) -> Status:
        status = self._inner.status()
        return status.model_copy(
            update={
                "stage": self._reported(status.stage),
                "current_pA": 0.0 if self._lasts(FaultKind.BEAM_LOST) else status.current_pA,
                "valves_open": status.valves_open and not self._lasts(FaultKind.VALVES_CLOSED),
                "vacuum_ok": status.vacuum_ok and not self._lasts(FaultKind.VACUUM),
            }
        )

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        fault = self._due(AffectedAction.MOVE, request_id)
        start = self._reported(self._inner.status().stage)
        match fault:
            case Fault(kind=FaultKind.STAGE_REFUSES):
                raise StageError("the stage refuses the move (rehearsed fault)")
            case Fault(kind=FaultKind.STAGE_STUCK):
                return start
            case Fault(kind=FaultKind.STAGE_FALLS_SHORT):
                target = _beyond(start, target, -fault.by_deg)
            case Fault(kind=FaultKind.STAGE_OVERSHOOTS):
                target = _beyond(start, target, fault.by_deg)
            case Fault():
                self._displace(fault)
        return self._reported(self._inner.move_stage(request_id, _sum(target, self._hidden, 1)))

    def set_current(self, request_id: str, current_pA: float) -> float:
        return self._inner.set_current(request_id, current_pA)

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        return self._inner.set_defocus(request_id, defocus_nm)

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        return self._once(request_id, lambda: self._inner.acquire(request_id, scan))

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        true_deg = to_alpha_deg + self._hidden.alpha_deg
        return self._once(
            request_id, lambda: self._inner.acquire_tilting(request_id, scan, true_deg)
        )

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        self._check_outages(self._due(AffectedAction.EXPOSE, request_id))
        return self._inner.illuminate(request_id, duration_s, field_nm)

    def fetch_frame(self, request_id: str) -> Frame:
        return self._frames.get(request_id) or self._inner.fetch_frame(request_id)

    def blank(self) -> None:
        self._inner.blank()

    def stop_stage(self) -> None:
        self._inner.stop_stage()

    def make_safe(self, reason: str) -> None:
        self._inner.make_safe(reason)

    def wait(self, duration_s: float) -> None:
        self._inner.wait(duration_s)

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        fault = self._due(AffectedAction.REMOUNT, request_id) if action in REMOUNTS else None
        simulated_operator_at(self._inner).simulate_operator(
            request_id, OperatorAction(fault.kind) if fault else action
        )

    def close(self) -> None:
        self._inner.close()

    def _once(self, request_id: str, expose: Callable[[], Frame]) -> Frame:
        if request_id not in self._frames:
            frame = self._exposed(request_id, expose)
            self._frames[request_id] = frame
            if len(self._frames) > FRAMES_KEPT:
                self._frames.popitem(last=False)
        return self._frames[request_id]

    def _due(self, action: AffectedAction, request_id: str) -> Fault | None:
        """Return the fault that happens now, and count it; None if there is none."""
        request = split_request_id(request_id)
        if request.is_tracking_shot:
            return None
        for index, fault in enumerate(self._faults):
            if self._counts[index] < fault.times and fault.fits(action, request.step_id):
                self._counts[index] += 1
                if self._memory is not None:
                    replace_text(self._memory, json.dumps(self._counts))
                return fault
        return None

    def _check_outages(self, fault: Fault | None) -> None:
        """Start an outage or freeze if `fault` says so; raise the error of an outage that lasts."""
        if fault is not None and fault.kind in OUTAGES:
            self._outage_ends_s[fault.kind] = time.monotonic() + fault.for_s
        if fault is not None and fault.kind is FaultKind.BRIDGE_FREEZES:
            _freeze(fault.for_s)
        for kind, error in OUTAGES.items():
            if self._lasts(kind):
                raise error()

    def _exposed(self, request_id: str, expose: Callable[[], Frame]) -> Frame:
        fault = self._due(AffectedAction.EXPOSE, request_id)
        self._check_outages(fault)
        frame, previous = self._recorded(expose()), self._previous
        if not split_request_id(request_id).is_tracking_shot:
            self._previous = frame
        match fault:
            case Fault(kind=FaultKind.NO_FRAME):
                raise AcquisitionError("the detector timed out (rehearsed fault)")
            case Fault(kind=FaultKind.BRIDGE_DIES):
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault(kind=FaultKind.EARLIER_FRAME) if previous is not None:
                return previous
            case Fault():
                return _with_pixels(frame, _spoiled(frame.pixels, fault.kind, previous))
        return frame

    def _recorded(self, frame: Frame) -> Frame:
        info = frame.info.model_copy(update={"stage": self._reported(frame.info.stage)})
        pixels = frame.pixels.astype(np.float32) if self._float_pixels else frame.pixels
        return _with_pixels(Frame(info, pixels), pixels)

    def _lasts(self, kind: FaultKind) -> bool:
        return time.monotonic() < self._outage_ends_s.get(kind, 0.0)

    def _displace(self, fault: Fault) -> None:
        if fault.kind is FaultKind.STAGE_LIES:
            self._hidden = _sum(self._hidden, StagePosition(alpha_deg=fault.by_deg), 1)
        if fault.kind is FaultKind.OBJECT_DRIFTS:
            self._hidden = _sum(self._hidden, StagePosition(x_nm=fault.by_nm), 1)

    def _reported(self, true: StagePosition) -> StagePosition:
        return _sum(true, self._hidden, -1)


def _read_counts(memory: Path | None, n: int) -> list[int]:
    if memory is None or not memory.exists():
        return [0] * n
    return [int(count) for count in json.loads(read_bounded(memory))]


def _sum(a: StagePosition, b: StagePosition, sign: int) -> StagePosition:
    return StagePosition(
        alpha_deg=a.alpha_deg + sign * b.alpha_deg,
        x_nm=a.x_nm + sign * b.x_nm,
        y_nm=a.y_nm + sign * b.y_nm,
        z_nm=a.z_nm + sign * b.z_nm,
    )


def _beyond(start: StagePosition, target: StagePosition, by_deg: float) -> StagePosition:
    """Move the target by `by_deg` away from the start, but not past the start."""
    tilt_deg = target.alpha_deg - start.alpha_deg
    sign = 1.0 if tilt_deg >= 0 else -1.0
    return target.model_copy(
        update={"alpha_deg": start.alpha_deg + sign * max(0.0, abs(tilt_deg) + by_deg)}
    )


def _spoiled(pixels: Pixels, kind: FaultKind, previous: Frame | None) -> Pixels:
    """Return the pixels that a detector with this fault would return."""
    match kind:
        case FaultKind.DIM:
            return (pixels / 20).astype(pixels.dtype)
        case FaultKind.BLANK:
            return np.zeros_like(pixels)
        case FaultKind.NOT_FINITE:
            spoiled = pixels.copy()
            spoiled[: len(spoiled) // 8] = np.nan
            return spoiled
        case FaultKind.SATURATED if np.issubdtype(pixels.dtype, np.integer):
            top = np.iinfo(pixels.dtype).max
            return np.where(pixels > np.median(pixels), top, pixels).astype(pixels.dtype)
        case FaultKind.STUCK_DETECTOR if previous is not None:
            return previous.pixels
    return pixels


def _with_pixels(frame: Frame, pixels: Pixels) -> Frame:
    """Return the frame with other pixels and a record that matches them."""
    record = {"dtype": pixels.dtype.name, "crc32": zlib.crc32(pixels.tobytes())}
    return Frame(frame.info.model_copy(update=record), pixels)


def _freeze(for_s: float) -> None:
    """Stop this process with all its threads for `for_s` seconds."""
    subprocess.Popen(["sh", "-c", f"sleep {for_s:g}; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
