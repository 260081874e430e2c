"""Series that are not one-way: files, approach, resume, time left."""

from __future__ import annotations

import tomllib
from pathlib import Path

import mrcfile
import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from processing.files.tilt_series import load_tilt_series
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, Run, open_session

ORDERS = ("bidirectional", "dose-symmetric", "golden")


def ordered(order: str) -> str:
    return PROTOCOL.replace("[series_a]", f'[series_a]\norder = "{order}"')


def planned(protocol: str) -> list[float]:
    return list(Protocol.model_validate(tomllib.loads(protocol)).series_a.tilts_deg)


class Goniometer(FakeMicroscope):
    """Microscope that records the direction in which each tilt was approached."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_deg = 0.0
        self.approached: dict[float, float] = {}

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        way = target.alpha_deg - self.stage.alpha_deg
        self.moved_deg = way or self.moved_deg
        if "/A-" in request_id:
            self.approached[target.alpha_deg] = self.moved_deg
        return super().move_stage(request_id, target)


@pytest.mark.parametrize("order", ORDERS)
def test_files_keep_the_order_of_recording(tmp_path: Path, order: str) -> None:
    protocol = ordered(order)
    run = Run(open_session(tmp_path / "s", protocol))
    assert run.go() is ExitCode.OK
    tilts = planned(protocol)
    assert tilts[0] == 0.0 and sorted(tilts) == [-20.0, -10.0, 0.0, 10.0, 20.0]
    assert [e.frame.nominal_deg for e in run.of(FrameRecorded) if e.frame.series == "A"] == tilts
    assert [float(x) for x in (tmp_path / "s" / "A.rawtlt").read_text().split()] == tilts
    read = load_tilt_series(tmp_path / "s" / "A.mrc", name="A")  # by the mdoc
    assert list(read.angles_deg) == tilts
    assert (read.images == mrcfile.read(tmp_path / "s" / "A.mrc")).all()


@pytest.mark.parametrize("order", ORDERS)
def test_every_tilt_is_approached_from_the_same_side(tmp_path: Path, order: str) -> None:
    protocol, stage = ordered(order), Goniometer()
    assert Run(open_session(tmp_path / "s", protocol), stage).go() is ExitCode.OK
    ways = {tilt: stage.approached[tilt] for tilt in planned(protocol)}
    assert all(way >= 3.0 for way in ways.values()), ways


@pytest.mark.parametrize("order", ORDERS)
def test_the_time_left_falls_to_zero(tmp_path: Path, order: str) -> None:
    run = Run(open_session(tmp_path / "s", ordered(order)))
    run.go()
    left = [event.left_s for event in run.of(FrameRecorded) if event.frame.series == "A"]
    assert left == sorted(left, reverse=True) and left[-1] == 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("recorded", [1, 3, 4])
def test_a_resumed_series_continues_at_the_next_tilt(
    tmp_path: Path, order: str, recorded: int
) -> None:
    def stop(event: Event, engine: Engine) -> None:
        if isinstance(event, FrameRecorded) and event.frame.section == recorded - 1:
            engine.stop(StopWhen.AFTER_TILT)

    protocol = ordered(order)
    first = Run(open_session(tmp_path / "s", protocol), on_event=stop)
    assert first.go() is ExitCode.INTERRUPTED
    stage = Goniometer()
    again = Run(open_session(tmp_path / "s", protocol), stage)
    assert again.go() is ExitCode.OK
    rest = planned(protocol)[recorded:]
    assert [e.frame.nominal_deg for e in again.of(FrameRecorded) if e.frame.series == "A"] == rest
    assert all(stage.approached[tilt] > 0 for tilt in rest)
