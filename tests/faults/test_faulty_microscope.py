"""Faulty microscope: each kind of fault happens in its step, the given number of times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from controller.common.errors import UsageError
from controller.hardware.interface import (
    AcquisitionError,
    BeamLostError,
    Description,
    Microscope,
    StageError,
    VacuumError,
    ValvesClosedError,
)
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.fault_list import Fault, FaultKind, read_faults
from controller.rehearsal.faulty_microscope import FaultyMicroscope
from controller.rehearsal.load_microscope import load_microscope
from controller.rehearsal.operator_actions import OperatorAction
from tests.support.fake_microscope import FakeMicroscope

SCAN = ScanSettings(width_px=48, height_px=48, pixel_nm=1.0, dwell_us=10.0)
FAULTS = sorted((Path(__file__).parents[2] / "config" / "faults").glob("*.toml"))


def faulty(memory: Path | None = None, **fault: object) -> FaultyMicroscope:
    fault = {"at": "A-002", "for_s": 60.0, **fault}
    return FaultyMicroscope(FakeMicroscope(), (Fault.model_validate(fault),), memory)


def expose(microscope: Microscope, step_id: str, number: int = 0) -> np.ndarray:
    return np.asarray(microscope.acquire(f"s/{step_id}/frame-0/{number}", SCAN).pixels)


def move(microscope: Microscope, step_id: str, alpha_deg: float) -> float:
    target = StagePosition(alpha_deg=alpha_deg)
    return microscope.move_stage(f"s/{step_id}/move/{alpha_deg}", target).alpha_deg


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.BEAM_LOST, BeamLostError),
        (FaultKind.VALVES_CLOSED, ValvesClosedError),
        (FaultKind.VACUUM, VacuumError),
        (FaultKind.NO_FRAME, AcquisitionError),
    ],
)
def test_an_exposure_fails_in_its_step(kind: FaultKind, error: type[Exception]) -> None:
    microscope = faulty(kind=kind)
    expose(microscope, "A-001")
    with pytest.raises(error):
        expose(microscope, "A-002")


def test_an_outage_shows_in_the_status_and_passes() -> None:
    microscope = faulty(kind=FaultKind.BEAM_LOST, for_s=0.2)
    with pytest.raises(BeamLostError):
        expose(microscope, "A-002")
    assert microscope.status().current_pA == 0
    with pytest.raises(BeamLostError):
        expose(microscope, "A-002", 1)
    while microscope.status().current_pA == 0:
        pass
    expose(microscope, "A-002", 2)


@pytest.mark.parametrize(
    ("kind", "reached"),
    [
        (FaultKind.STAGE_STUCK, 10.0),
        (FaultKind.STAGE_FALLS_SHORT, 15.0),
        (FaultKind.STAGE_OVERSHOOTS, 25.0),
        (FaultKind.STAGE_LIES, 20.0),
    ],
)
def test_reported_angle_after_a_stage_fault(kind: FaultKind, reached: float) -> None:
    microscope = faulty(kind=kind)
    move(microscope, "A-001", 10.0)
    assert move(microscope, "A-002", 20.0) == reached
    assert move(microscope, "A-003", 30.0) == 30.0


@pytest.mark.parametrize(
    ("kind", "hidden"), [(FaultKind.STAGE_LIES, 5.0), (FaultKind.OBJECT_DRIFTS, 0.0)]
)
def test_a_hidden_stage_offset_shows_in_the_images(kind: FaultKind, hidden: float) -> None:
    microscope, honest = faulty(kind=kind), FakeMicroscope()
    for step in ("A-001", "A-002"):
        move(microscope, step, 10.0)
    frame = microscope.acquire("s/A-002/frame-0/0", SCAN)
    assert frame.info.stage == StagePosition(alpha_deg=10.0)
    honest.stage = StagePosition(alpha_deg=10.0 + hidden)
    same = np.array_equal(frame.pixels, honest.image(SCAN))
    assert same == (kind is FaultKind.STAGE_LIES)  # a drifted object is displaced


def test_a_stage_refuses_the_given_number_of_times() -> None:
    microscope = faulty(kind=FaultKind.STAGE_REFUSES, times=2)
    for alpha_deg in (10.0, 11.0):
        with pytest.raises(StageError):
            move(microscope, "A-002", alpha_deg)
    assert move(microscope, "A-002", 12.0) == 12.0


SPOILED = {
    FaultKind.DIM: lambda pixels, honest: pixels.mean() < 0.1 * honest.mean(),
    FaultKind.BLANK: lambda pixels, honest: not pixels.any(),
    FaultKind.NOT_FINITE: lambda pixels, honest: np.isnan(pixels).any(),
    FaultKind.SATURATED: lambda pixels, honest: (pixels == 65535).mean() > 0.1,
}


@pytest.mark.parametrize("kind", SPOILED, ids=str)
def test_a_frame_is_spoiled_once_and_its_record_matches(kind: FaultKind) -> None:
    microscope, honest = faulty(kind=kind), expose(FakeMicroscope(), "A-001")
    spoiled = microscope.acquire("s/A-002/frame-0/0", SCAN)
    assert SPOILED[kind](spoiled.pixels, honest)
    assert spoiled.info.dtype == spoiled.pixels.dtype.name
    assert microscope.fetch_frame(spoiled.info.request_id) is spoiled
    assert np.array_equal(expose(microscope, "A-002", 1), honest)


@pytest.mark.parametrize("kind", [FaultKind.STUCK_DETECTOR, FaultKind.EARLIER_FRAME])
def test_a_previous_frame_is_returned_again(kind: FaultKind) -> None:
    microscope = faulty(kind=kind)
    before = expose(microscope, "A-001")
    microscope.acquire("s/A-002/track-0-0/0", SCAN)  # tracking shots have no faults
    move(microscope, "A-002", 20.0)
    again = microscope.acquire("s/A-002/frame-0/0", SCAN)
    assert np.array_equal(again.pixels, before)
    expected_id = "s/A-002/frame-0/0" if kind is FaultKind.STUCK_DETECTOR else "s/A-001/frame-0/0"
    assert again.info.request_id == expected_id


def test_a_wrong_flip_happens_once() -> None:
    inner = FakeMicroscope()
    microscope = FaultyMicroscope(inner, (Fault(kind=FaultKind.NOT_FLIPPED),))
    microscope.simulate_operator("s/flip/1", OperatorAction.FLIPPED)
    assert not inner.flipped
    microscope.simulate_operator("s/flip/2", OperatorAction.FLIPPED)
    assert inner.flipped


def test_fault_counts_are_kept_for_the_next_process(tmp_path: Path) -> None:
    first = faulty(tmp_path / "memory.json", kind=FaultKind.BLANK)
    assert not expose(first, "A-002").any()
    second = faulty(tmp_path / "memory.json", kind=FaultKind.BLANK)
    assert expose(second, "A-002", 1).any()


def test_fault_counts_are_replaced_as_a_whole_so_that_a_kill_leaves_no_half_file(
    tmp_path: Path,
) -> None:
    memory, earlier = tmp_path / "memory.json", tmp_path / "earlier.json"
    memory.write_text("[0]")
    earlier.hardlink_to(memory)
    expose(faulty(memory, kind=FaultKind.BLANK), "A-002")
    assert (earlier.read_text(), memory.read_text()) == ("[0]", "[1]")


class RealColumn(FakeMicroscope):
    """Fake microscope that describes itself as a real one."""

    def describe(self) -> Description:
        return super().describe().model_copy(update={"simulated": False})


def create_real(settings: dict[str, object], state_path: Path | None) -> RealColumn:
    """Open it as a driver does: `--microscope tests.faults.test_faulty_microscope:create_real`."""
    return RealColumn()


def test_faults_are_refused_on_a_real_column() -> None:
    real = "tests.faults.test_faulty_microscope:create_real"
    load_microscope(real, {}, None, real_time=False)
    with pytest.raises(UsageError, match="simulated microscope only"):
        load_microscope(real, {}, None, real_time=False, faults=FAULTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[fault]]\nkind = "fire"\n', "fault.0.kind"),
        ('[[fault]]\nkind = "dim"\nwhen = "A-002"\n', "fault.0.when"),
        ('[[fault]]\nkind = "dim"\ntimes = 0\n', "fault.0.times"),
        ("fault = 3\n", "fault"),
        ("[[fault]\n", "TOML"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        read_faults([path])
    assert "\n" not in str(caught.value)
    assert "wrong.toml" in str(caught.value)


def test_the_supplied_fault_lists_are_valid_and_contain_every_kind() -> None:
    assert {fault.kind for fault in read_faults(FAULTS)} == set(FaultKind)
