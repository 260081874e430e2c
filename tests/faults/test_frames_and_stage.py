"""Frames that are not what they should be, and a stage that is not where it says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from controller.engine import Engine
from controller.events import Alerted, Event, FrameRecorded, Level, State, StateChanged
from controller.exit_codes import ExitCode
from controller.microscope.faults import Fault, Kind
from controller.microscope.interface import Frame, Microscope, ScanSettings, StagePosition
from controller.microscope.loading import load_microscope
from controller.microscope.scripted import ScriptedMicroscope
from processing.files.tilt_series import load_tilt_series
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session

SCAN = ScanSettings(width_px=48, height_px=48, pixel_nm=1.0, dwell_us=10.0)


def run_with(
    path: Path,
    *faults: Fault,
    protocol: str = PROTOCOL,
    microscope: Microscope | None = None,
    code: ExitCode = ExitCode.OK,
    mend: Callable[[], None] = lambda: None,
) -> Run:
    """Run a session on which these things go wrong; in a pause they are mended."""

    def go_on(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            mend()
            threading.Timer(0.02, engine.go_on).start()

    scripted = ScriptedMicroscope(microscope or FakeMicroscope(), faults)
    run = Run(open_session(path, protocol), connect=lambda: scripted, on_event=go_on)
    assert run.go() is code
    return run


def tilts(path: Path, series: str = "A") -> list[float]:
    return [float(line) for line in (path / f"{series}.rawtlt").read_text().split()]


def alerts(run: Run, word: str) -> list[Alerted]:
    return [alert for alert in run.of(Alerted) if word in alert.text]


def pauses(run: Run) -> list[str]:
    return [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]


def at(kind: Kind, step: str = "A-001", **details: object) -> Fault:
    return Fault.model_validate({"kind": kind, "at": step, **details})


# -- frames ---------------------------------------------------------------------------------


def test_no_numbers_are_kept_marked_retaken_once_and_left_out_of_processing(tmp_path: Path) -> None:
    run = run_with(tmp_path / "s", at(Kind.NOT_FINITE, times=2))
    frames = [(e.verdict, e.retakes) for e in run.of(FrameRecorded) if e.series == "A"]
    assert frames == [("ok", 0), ("invalid", 1), ("ok", 0), ("ok", 0), ("ok", 0)]
    assert np.isnan(mrcfile.read(tmp_path / "s" / "A.mrc")[1]).any()  # raw, as it came
    assert len(list((tmp_path / "s" / "rejected").iterdir())) == 1
    excluded = load_tilt_series(tmp_path / "s" / "A.mrc").excluded
    assert list(excluded) == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("policy", "code", "recorded"),
    [("mark", ExitCode.OK, 9), ("stop", ExitCode.SAFETY, 1)],
)
def test_saturation_is_marked_or_ends_the_session_by_policy(
    tmp_path: Path, policy: str, code: ExitCode, recorded: int
) -> None:
    protocol = PROTOCOL + f'[quality]\nsaturated = "{policy}"\n'
    run = run_with(tmp_path / "s", at(Kind.SATURATED), protocol=protocol, code=code)
    assert len(run.of(FrameRecorded)) == recorded
    if policy == "mark":
        assert run.of(FrameRecorded)[1].verdict == "saturated"
    else:
        assert "at full scale; lower scan.dwell_us" in run.of(StateChanged)[-1].reason
        assert len(list((tmp_path / "s" / "rejected").iterdir())) == 1


class Dimmed(FakeMicroscope):
    """One frame is dim, for the reason given, until somebody has seen to it."""

    def __init__(self, **reason: object) -> None:
        super().__init__()
        self._reason = reason
        self._left = 1

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        if "A-001/frame" in request_id and self._left:
            self._left -= 1
            self.spoil = lambda _, pixels: pixels // 30
            vars(self).update(self._reason)
        frame = super().acquire(request_id, scan)
        self.spoil = lambda _, pixels: pixels
        return frame

    def mend(self) -> None:
        self.valves_open, self.current_pA = True, 70.0


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        pytest.param({"valves_open": False}, "the column valves are closed", id="valves"),
        pytest.param({"current_pA": 1.0}, "the probe current is 1.0 pA", id="beam"),
        pytest.param({}, "", id="neither"),
    ],
)
def test_a_dim_frame_has_beam_and_valves_looked_at(
    tmp_path: Path, reason: dict[str, object], said: str
) -> None:
    microscope = Dimmed(**reason)
    run = run_with(tmp_path / "s", microscope=microscope, mend=microscope.mend)
    assert tilts(tmp_path / "s") == TILTS_A
    assert all(said in reason for reason in pauses(run))
    assert bool(pauses(run)) == bool(said)


def test_the_same_pixels_under_a_new_id_are_an_alarm_and_taken_again(tmp_path: Path) -> None:
    run = run_with(tmp_path / "s", at(Kind.STUCK_DETECTOR))
    assert [a.level for a in alerts(run, "detector stuck")] == [Level.ALARM]
    frame = run.of(FrameRecorded)[1]
    assert (frame.verdict, frame.retakes) == ("ok", 1)


def test_a_frame_of_another_request_is_dropped_and_every_frame_is_in_its_place(
    tmp_path: Path,
) -> None:
    run = run_with(tmp_path / "s", at(Kind.EARLIER_FRAME), at(Kind.EARLIER_FRAME, "B-003"))
    assert len(alerts(run, "dropped")) == 2
    honest = FakeMicroscope()
    for series, planned in (("A", TILTS_A), ("B", TILTS_B)):
        assert tilts(tmp_path / "s", series) == planned
        honest.flipped = series == "B"
        images = mrcfile.read(tmp_path / "s" / f"{series}.mrc")
        for alpha_deg, image in zip(planned, images, strict=True):
            honest.stage = honest.stage.model_copy(update={"alpha_deg": alpha_deg})
            assert np.array_equal(image, honest.image(SCAN))


class Misshapen(FakeMicroscope):
    """Gives a frame of another kind, once."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        left = [change]
        self.spoil = lambda request_id, pixels: (
            left.pop()(pixels) if "A-002/frame" in request_id and left else pixels
        )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pixels: pixels[:-2], id="shape"),
        pytest.param(lambda pixels: pixels.astype(np.float32), id="dtype"),
    ],
)
def test_a_frame_that_no_stack_could_take_is_dropped_and_taken_again(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    run = run_with(tmp_path / "s", microscope=Misshapen(change))
    assert len(alerts(run, "dropped")) == 1
    assert tilts(tmp_path / "s") == TILTS_A
    before, dropped, after = (event.dose_e_per_A2 for event in run.of(FrameRecorded)[1:4])
    assert dropped - before == pytest.approx(2 * (after - dropped))  # charged for both


# -- the stage ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.STAGE_REFUSES, Kind.STAGE_STUCK], ids=str)
@pytest.mark.parametrize("policy", ["pause", "skip"])
def test_a_tilt_that_is_refused_twice_is_asked_about_or_left_out(
    tmp_path: Path, kind: Kind, policy: str
) -> None:
    protocol = PROTOCOL + f'unreachable_tilt = "{policy}"\n'
    run = run_with(tmp_path / "s", at(kind, times=2), protocol=protocol)
    assert len(alerts(run, "trying once more")) == 1
    if policy == "pause":
        assert len(pauses(run)) == 1
        assert tilts(tmp_path / "s") == TILTS_A
    else:
        assert pauses(run) == []
        assert tilts(tmp_path / "s") == [-20.0, 0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("fault", "recorded"),
    [
        pytest.param(at(Kind.STAGE_OVERSHOOTS, by_deg=3.0), TILTS_A, id="overshoots once"),
        pytest.param(
            at(Kind.STAGE_FALLS_SHORT, times=2, by_deg=3.0),
            [-20.0, -13.0, 0.0, 10.0, 20.0],
            id="a little short, twice",
        ),
        pytest.param(
            at(Kind.STAGE_FALLS_SHORT, "A-003", times=2, by_deg=7.0),
            [-20.0, -10.0, 0.0, 20.0],
            id="far short, twice: left out",
        ),
    ],
)
def test_a_stage_that_is_off_is_read_again_and_recorded_where_it_is(
    tmp_path: Path, fault: Fault, recorded: Sequence[float]
) -> None:
    run = run_with(tmp_path / "s", fault)
    assert tilts(tmp_path / "s") == recorded
    assert pauses(run) == []
    assert tilts(tmp_path / "s", "B") == TILTS_B


class Short(FakeMicroscope):
    """In series A its stage goes no further than 1 degree."""

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        reach = 1.0 if "/A-" in request_id else 90.0
        reached = target.model_copy(update={"alpha_deg": min(target.alpha_deg, reach)})
        return super().move_stage(request_id, reached)


def test_a_stage_that_stops_twice_at_one_angle_is_sent_no_further(tmp_path: Path) -> None:
    stage = Short()
    run = run_with(
        tmp_path / "s",
        microscope=stage,
        protocol=PROTOCOL.replace("step_deg = 10.0", "step_deg = 5.0"),
    )
    assert tilts(tmp_path / "s") == [-20.0, -15.0, -10.0, -5.0, 0.0]
    moved_for = {request_id.split("/")[1] for name, request_id in stage.log if name == "move"}
    assert {"A-005", "A-006"} < moved_for
    assert not {"A-007", "A-008"} & moved_for
    assert len(alerts(run, "where the stage stopped before")) == 2
    assert pauses(run) == []
    assert tilts(tmp_path / "s", "B") == [-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0]


def test_a_move_beyond_the_protocols_limits_stops_in_the_engine(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    protocol = PROTOCOL + "[limits.stage]\nxy_max_nm = 20.0\n"

    def drift_away(action: str, request_id: str) -> None:
        if action == "move" and "A-002" in request_id:
            microscope.drift_nm = (60.0, 0.0) if not pauses(run) else (0.0, 0.0)

    microscope.fault = drift_away
    run = Run(open_session(tmp_path / "s", protocol), microscope)

    def go_on(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            threading.Timer(0.02, engine.go_on).start()

    run.on_event = go_on
    assert run.go() is ExitCode.OK
    assert any("outside -20 to 20" in reason for reason in pauses(run))
    assert abs(microscope.stage.x_nm) <= 20.0


TURNING = """
name = "turning"
[scan]
width_px = 96
height_px = 96
pixel_nm = 0.9
dwell_us = 5.0
[shower]
enabled = false
[series_a]
start_deg = -20.0
stop_deg = 10.0
[series_b]
start_deg = -4.0
stop_deg = 4.0
"""
TWIN = {
    "seed": 5,
    "specimen": {
        "packing": "disordered",
        "assembly_diameter_nm": 60.0,
        "other_assemblies_nm": [],
    },
}


@pytest.mark.parametrize(
    ("fault", "alarms"),
    [
        pytest.param(at(Kind.NOT_FINITE, "A-010", times=2), [], id="honest, but one bad frame"),
        pytest.param(at(Kind.STAGE_LIES, "A-010", by_deg=10.0), ["A-010"], id="10 degrees off"),
        pytest.param(at(Kind.STAGE_LIES, "A-012", by_deg=-10.0), ["A-012"], id="10 degrees back"),
    ],
)
def test_a_reported_angle_that_lies_shows_in_the_images(
    tmp_path: Path, fault: Fault, alarms: list[str]
) -> None:
    twin = load_microscope("simulator", TWIN, None, real_time=False)
    run = run_with(tmp_path / "s", fault, protocol=TURNING, microscope=twin)
    raised = [alert.where for alert in run.of(Alerted) if alert.level is Level.ALARM]
    assert raised == alarms
