"""Continuous motion: frames without a stop, faults during the motion, resuming it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Checked, Event, FrameRecorded, State, StateChanged
from controller.model.plan import make_plan
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from processing.files.mdoc import read_mdoc
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session

Pixels = NDArray[np.uint16]

IN_MOTION = PROTOCOL.replace("step_deg", 'motion = "continuous"\nstep_deg')


class Goniometer(FakeMicroscope):
    """Microscope that records the first and last angle of each frame of A, and the moves."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: list[tuple[float, float]] = []
        self.moves: list[StagePosition] = []

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        if "/A-0" in request_id:
            self.moves.append(target)
        return super().move_stage(request_id, target)

    def acquire_tilting(self, request_id: str, scan: Any, to_alpha_deg: float) -> Any:
        if "/A-0" in request_id:
            self.ways.append((self.stage.alpha_deg, to_alpha_deg))
        return super().acquire_tilting(request_id, scan, to_alpha_deg)


def angles(folder: Path, series: str) -> list[float]:
    return [float(line) for line in (folder / f"{series}.rawtlt").read_text().split()]


def tracked_tilts(run: Run) -> list[str]:
    """Tilts of A before which a low-dose shot was taken."""
    shots = (exposure.intent for exposure in run.session.ledger.exposures.values())
    return [s.step_id for s in shots if s.purpose.startswith("track") and "A-0" in s.step_id]


def test_frames_follow_each_other_without_a_stop(tmp_path: Path) -> None:
    column = Goniometer()
    run = Run(open_session(tmp_path / "s", IN_MOTION), column)
    assert run.go() is ExitCode.OK
    assert column.ways == [(tilt - 5.0, tilt + 5.0) for tilt in TILTS_A]
    assert (column.moves, tracked_tilts(run)) == ([], [])
    assert [(e.frame.nominal_deg, e.frame.actual_deg) for e in run.of(FrameRecorded)] == [
        (tilt, tilt) for tilt in (*TILTS_A, *TILTS_B)
    ]
    assert (angles(tmp_path / "s", "A"), angles(tmp_path / "s", "B")) == (TILTS_A, TILTS_B)
    mdoc = read_mdoc(tmp_path / "s" / "A.mrc.mdoc")
    assert [section.tilt_angle_deg for section in mdoc.sections] == TILTS_A


@dataclass(frozen=True)
class Broken:
    """A fault at A-004, its verdict, and the tilts at which the motion starts again."""

    name: str
    change: Callable[[Pixels], Pixels] = lambda pixels: pixels
    drift_nm: tuple[float, float] = (0.0, 0.0)
    verdict: str = "ok"
    tracked: list[str] = field(default_factory=list)
    shifts: int = 0


BROKEN = [
    Broken("blank: marked, not retaken", lambda p: p * 0 + 7, verdict="invalid", tracked=["A-005"]),
    Broken("dim, with the beam present", lambda p: p // 20, verdict="dim"),
    Broken("half the allowed shift: the stage follows", drift_nm=(3.5, 0.0), shifts=1),
    Broken(
        "beyond the allowed shift: found again",
        drift_nm=(9.0, 0.0),
        verdict="shifted",
        tracked=["A-005"],
    ),
    Broken("out of view: found again", drift_nm=(60.0, 0.0), verdict="invalid", tracked=["A-005"]),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_bad_frame_is_kept_and_the_object_is_centred_again(tmp_path: Path, case: Broken) -> None:
    column = Goniometer()

    def spoil(request_id: str, pixels: Pixels) -> NDArray[np.generic]:
        return case.change(pixels) if "/A-004/frame" in request_id else pixels

    def drift(action: str, request_id: str) -> None:
        if "/A-004/frame" in request_id:
            column.drift_nm = case.drift_nm

    column.spoil, column.fault = spoil, drift
    run = Run(open_session(tmp_path / "s", IN_MOTION), column)
    assert run.go() is ExitCode.OK
    frames = [event.frame for event in run.of(FrameRecorded) if event.frame.series == "A"]
    assert [event.verdict for event in frames] == ["ok", "ok", "ok", case.verdict, "ok"]
    assert [event.retakes for event in frames] == [0] * 5
    assert sorted(set(tracked_tilts(run))) == case.tracked
    assert column.ways == [(tilt - 5.0, tilt + 5.0) for tilt in TILTS_A]
    shifts = [move for move in column.moves if not case.tracked]
    assert [move.x_nm for move in shifts] == pytest.approx([-3.5] * case.shifts, abs=1.0)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_an_interrupted_series_resumes_at_the_next_tilt(tmp_path: Path, index: int) -> None:
    """After a stop the stage approaches the start of the next sweep from its backlash start."""

    def stop(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", index):
            engine.stop(StopWhen.AFTER_TILT)

    first = Run(open_session(tmp_path / "s", IN_MOTION), on_event=stop)
    assert first.go() is ExitCode.INTERRUPTED
    column = Goniometer()
    column.stage = StagePosition(alpha_deg=33.0)
    again = Run(open_session(tmp_path / "s"), column)
    assert again.go() is ExitCode.OK
    assert column.ways == [(tilt - 5.0, tilt + 5.0) for tilt in TILTS_A[index + 1 :]]
    assert (angles(tmp_path / "s", "A"), angles(tmp_path / "s", "B")) == (TILTS_A, TILTS_B)


class CrashError(BaseException):
    """The session process has ended."""


def test_a_frame_exposed_before_a_crash_is_not_exposed_again(tmp_path: Path) -> None:
    column = FakeMicroscope()

    def crash(action: str, request_id: str) -> None:
        if action == "acquired" and "/A-003/frame" in request_id:
            raise CrashError

    column.fault = crash
    first = Run(open_session(tmp_path / "s", IN_MOTION), column)
    with pytest.raises(CrashError):
        first.go()
    column.fault = lambda action, request_id: None
    again = Run(open_session(tmp_path / "s"), column)
    assert again.go() is ExitCode.OK
    assert angles(tmp_path / "s", "A") == TILTS_A
    exposed = [r for action, r in column.log if action == "acquire-tilting" and "/A-003/" in r]
    assert len(exposed) == 1


def test_a_tilt_without_beam_is_exposed_when_the_beam_is_back(tmp_path: Path) -> None:
    column = Goniometer()
    lost: list[str] = []

    def lose(request_id: str, pixels: Pixels) -> NDArray[np.generic]:
        if "/A-003/frame" not in request_id or lost:
            return pixels
        lost.append(request_id)
        column.current_pA = 0.0
        return pixels // 20

    def restore(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            column.current_pA = 70.0

    column.spoil = lose
    run = Run(open_session(tmp_path / "s", IN_MOTION), column, on_event=restore)
    assert run.go() is ExitCode.OK
    assert [event.frame.verdict for event in run.of(FrameRecorded)] == ["ok"] * 9
    assert column.ways[2:4] == [(-5.0, 5.0), (-5.0, 5.0)]
    assert set(tracked_tilts(run)) == {
        "A-003"
    }  # approached from the backlash start, with a tracking shot
    assert angles(tmp_path / "s", "A") == TILTS_A


@pytest.mark.parametrize(
    ("fastest", "words"),
    [
        pytest.param(None, "cannot expose while its stage tilts", id="not offered"),
        pytest.param(1.0, "deg/s, and the stage can do 1", id="too slow a stage"),
    ],
)
def test_a_column_without_continuous_tilting_is_refused(
    tmp_path: Path, fastest: float | None, words: str
) -> None:
    column = FakeMicroscope()
    column.fastest_sweep_deg_per_s = fastest
    run = Run(open_session(tmp_path / "s", IN_MOTION), column)
    assert run.go() is ExitCode.SAFETY
    failed = [check.detail for check in run.of(Checked) if not check.ok]
    assert len(failed) == 2
    assert failed[0].startswith("series_a.motion = 'continuous'") and words in failed[0]
    assert column.exposures == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            {"series_a": {"order": "bidirectional"}}, "needs order = 'one-way'", id="order"
        ),
        pytest.param(
            {"tracking": {"drift_limit_nm_per_s": 0.2}},
            "drift_limit_nm_per_s would stop series_a.motion",
            id="waiting for the drift",
        ),
        pytest.param(
            {"focus": {"before_series": True, "every_deg": 20.0}},
            "focus.every_deg would stop series_a.motion",
            id="focus during the series",
        ),
        pytest.param(
            {"limits": {"stage": {"alpha_min_deg": -22.0}}},
            "asks for -25 degrees",
            id="begins beyond the limits",
        ),
    ],
)
def test_settings_that_would_stop_the_motion_are_refused(
    change: dict[str, dict[str, Any]], words: str
) -> None:
    sections = tomllib.loads(IN_MOTION)
    merged = {key: {**sections.get(key, {}), **section} for key, section in change.items()}
    with pytest.raises(ValueError, match=words):
        Protocol.model_validate({**sections, **merged})


def test_a_tilt_in_motion_costs_one_frame() -> None:
    protocol = Protocol.model_validate(tomllib.loads(IN_MOTION))
    tilts = [step for step in make_plan(protocol).steps if step.kind == "tilt"]
    assert [step.duration_s for step in tilts] == [protocol.scan.frame_time_s] * 9
    assert [step.dose_e_per_A2 for step in tilts] == pytest.approx(
        [protocol.scan.dose_e_per_A2(70.0)] * 9
    )
