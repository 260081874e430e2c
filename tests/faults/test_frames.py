"""Faulty frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from numpy.typing import NDArray

from controller.common.exit_codes import ExitCode
from controller.hardware.interface import AcquisitionError, Frame
from controller.model.events import FrameRecorded, Level, StateChanged
from controller.model.scan import ScanSettings
from controller.procedures.judge_frame import check_delivery
from controller.rehearsal.fault_list import FaultKind
from processing.files.tilt_series import load_tilt_series
from tests.faults.run_with_faults import alerts, at, pauses, run_with, tilts
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B

SCAN = ScanSettings(width_px=48, height_px=48, pixel_nm=1.0, dwell_us=10.0)


def test_pixels_that_are_no_numbers_are_marked_retaken_once_and_not_processed(
    tmp_path: Path,
) -> None:
    run = run_with(tmp_path / "s", at(FaultKind.NOT_FINITE, times=2))
    frames = [
        (e.frame.verdict, e.frame.retakes) for e in run.of(FrameRecorded) if e.frame.series == "A"
    ]
    assert frames == [("ok", 0), ("invalid", 1), ("ok", 0), ("ok", 0), ("ok", 0)]
    assert np.isnan(
        mrcfile.read(tmp_path / "s" / "A.mrc")[1]
    ).any()  # the raw frame is kept unchanged
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
    run = run_with(tmp_path / "s", at(FaultKind.SATURATED), protocol=protocol, code=code)
    assert len(run.of(FrameRecorded)) == recorded
    if policy == "mark":
        assert run.of(FrameRecorded)[1].frame.verdict == "saturated"
    else:
        assert "at full scale; lower scan.dwell_us" in run.of(StateChanged)[-1].reason
        assert len(list((tmp_path / "s" / "rejected").iterdir())) == 1


class Dimmed(FakeMicroscope):
    """Microscope with one dim frame, for the given reason, until `mend` is called."""

    def __init__(self, **reason: object) -> None:
        super().__init__()
        self._reason = reason
        self._left = 1

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        if "A-002/frame" in request_id and self._left:
            self._left -= 1
            self.spoil = self._dim
        frame = super().acquire(request_id, scan)
        self.spoil = lambda _, pixels: pixels
        return frame

    def _dim(self, request_id: str, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        vars(self).update(self._reason)
        return pixels // 30

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
def test_a_dim_frame_makes_the_session_check_beam_and_valves(
    tmp_path: Path, reason: dict[str, object], said: str
) -> None:
    microscope = Dimmed(**reason)
    run = run_with(tmp_path / "s", microscope=microscope, mend=microscope.mend)
    assert tilts(tmp_path / "s") == TILTS_A
    assert all(said in reason for reason in pauses(run))
    assert bool(pauses(run)) == bool(said)


def test_repeated_pixels_raise_an_alarm_and_are_recorded_again(tmp_path: Path) -> None:
    run = run_with(tmp_path / "s", at(FaultKind.STUCK_DETECTOR))
    assert [a.level for a in alerts(run, "detector stuck")] == [Level.ALARM]
    frame = run.of(FrameRecorded)[1].frame
    assert (frame.verdict, frame.retakes) == ("ok", 1)


def test_a_frame_of_another_request_is_dropped_and_all_frames_are_in_order(
    tmp_path: Path,
) -> None:
    run = run_with(
        tmp_path / "s", at(FaultKind.EARLIER_FRAME), at(FaultKind.EARLIER_FRAME, "B-004")
    )
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
    """Microscope that returns one frame of wrong size or pixel type."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        left = [change]
        self.spoil = lambda request_id, pixels: (
            left.pop()(pixels) if "A-003/frame" in request_id and left else pixels
        )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pixels: pixels[:-2], id="shape"),
        pytest.param(lambda pixels: pixels.astype(np.float32), id="dtype"),
    ],
)
def test_a_frame_of_wrong_size_or_type_is_dropped_and_recorded_again(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    run = run_with(tmp_path / "s", microscope=Misshapen(change))
    assert len(alerts(run, "dropped")) == 1
    assert tilts(tmp_path / "s") == TILTS_A
    before, dropped, after = (event.dose_e_per_A2 for event in run.of(FrameRecorded)[1:4])
    assert dropped - before == pytest.approx(2 * (after - dropped))  # charged for both


def test_a_frame_with_another_pixel_size_is_dropped() -> None:
    microscope = FakeMicroscope()
    frame = microscope.acquire("A-003/frame", SCAN)
    check_delivery(frame, "A-003/frame", SCAN, None)
    wanted = SCAN.model_copy(update={"pixel_nm": 10 * SCAN.pixel_nm})
    with pytest.raises(AcquisitionError, match=r"pixels of .* nm instead of .*: dropped"):
        check_delivery(frame, "A-003/frame", wanted, None)
