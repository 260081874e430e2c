"""Survey maps around the flip: on disk with their pixel size, taken once, used to find A."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Description, OfferedScan, OutOfLimitsError
from controller.model.commands import Answer
from controller.model.events import (
    Alerted,
    BeamChanged,
    Event,
    FlipChecked,
    FrameRecorded,
    PreviewReady,
    PromptOpened,
)
from controller.model.plan import make_plan
from controller.rehearsal.load_microscope import load_microscope
from controller.session.folder import SessionFolder
from tests.flip_check.trials import PROTOCOL
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session

NAMES = ["A-low", "A-middle", "B-low", "B-middle"]


def test_four_maps_are_written_with_their_pixel_size(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.OK
    folder = SessionFolder(tmp_path / "s")
    assert sorted(path.stem for path in folder.maps.iterdir()) == NAMES
    with (
        mrcfile.open(folder.maps / "A-low.mrc") as low,
        mrcfile.open(folder.maps / "B-middle.mrc") as middle,
    ):
        assert low.voxel_size.x == pytest.approx(160.0)
        assert middle.voxel_size.x == pytest.approx(40.0)
        assert low.data.shape == (48, 48)
    shown = [event for event in run.of(PreviewReady) if event.view.startswith("map-")]
    assert sorted(event.view for event in shown) == [f"map-{name}" for name in NAMES]
    assert all((folder.path / event.path).exists() for event in shown)


def test_the_dose_of_the_maps_is_published_before_the_first_frame(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.OK
    frames = run.of(FrameRecorded)
    last_of_a = next(each for each in reversed(frames) if each.frame.series == "A")
    first_of_b = next(each for each in frames if each.frame.series == "B")
    between = run.events[run.events.index(last_of_a) : run.events.index(first_of_b)]
    doses = [event.dose_e_per_A2 for event in between if isinstance(event, BeamChanged)]
    assert doses == sorted(doses, key=lambda dose: dose or 0.0)
    assert last_of_a.dose_e_per_A2 < (doses[-1] or 0.0) <= first_of_b.dose_e_per_A2


def test_maps_of_a_are_taken_once_and_before_the_flip(tmp_path: Path) -> None:
    """Also when the flip is repeated, and after a stop at the flip."""
    stop = [Answer(prompt_id="flip", value="stop")]
    assert Run(open_session(tmp_path / "s"), answers=stop).go() is ExitCode.INTERRUPTED
    answers = [
        Answer(prompt_id="flip", value="not-flipped"),
        Answer(prompt_id="flip-check", value="back-to-flip"),
        Answer(prompt_id="flip", value="done"),
    ]
    microscope = FakeMicroscope()
    run = Run(open_session(tmp_path / "s"), microscope, answers=answers)
    assert run.go() is ExitCode.OK
    asked = [request for action, request in microscope.log if action == "acquire"]
    assert not [request for request in asked if "map-A" in request]
    assert len([request for request in asked if "map-B-low" in request]) == 2


def test_the_flip_is_checked_without_maps(tmp_path: Path) -> None:
    protocol = PROTOCOL.format(side_px=48, step_deg=20.0) + "[flip]\nmaps = false\n"
    run = Run(open_session(tmp_path / "s", protocol))
    assert run.go() is ExitCode.OK
    assert not SessionFolder(tmp_path / "s").maps.exists()


@pytest.mark.parametrize(
    ("maps", "advice"),
    [
        pytest.param(
            "true", "within 0.46 µm of the image centre; the session finds it there.", id="maps"
        ),
        pytest.param("false", "Bring the same assembly into view", id="no maps"),
    ],
)
def test_the_prompt_says_where_the_assembly_is_searched(
    tmp_path: Path, maps: str, advice: str
) -> None:
    protocol = PROTOCOL.format(side_px=48, step_deg=20.0) + f"[flip]\nmaps = {maps}\n"
    run = Run(open_session(tmp_path / "s", protocol))
    assert run.go() is ExitCode.OK
    (prompt,) = (event.prompt for event in run.of(PromptOpened) if event.prompt.id == "flip")
    assert advice in prompt.text


@pytest.mark.parametrize(
    ("others_nm", "accepted"),
    [
        pytest.param(
            [(420.0, 250.0), (-350.0, -450.0)], True, id="identified by the positions of the others"
        ),
        pytest.param([(420.0, 250.0)], True, id="one other: imaged in turn"),
        pytest.param([(9420.0, 250.0)], False, id="out of reach"),
    ],
)
def test_the_assembly_of_a_is_found_where_another_was_centred(
    tmp_path: Path, others_nm: list[tuple[float, float]], accepted: bool
) -> None:
    specimen = {
        "packing": "multi-grain",
        "assembly_diameter_nm": 75.0,
        "other_assemblies_nm": others_nm,
    }
    simulator = load_microscope("simulator", {"seed": 4, "specimen": specimen}, None, False)
    answers = [
        Answer(prompt_id="flip", value="other-assembly"),
        Answer(prompt_id="flip-check", value="stop"),
    ]
    protocol = PROTOCOL.format(side_px=88, step_deg=12.0)
    run = Run(open_session(tmp_path / "s", protocol), connect=lambda: simulator, answers=answers)
    run.go()
    (check,) = run.of(FlipChecked)
    assert check.accepted is accepted, check.found
    moved = [event for event in run.of(Alerted) if "moving to an assembly" in event.text]
    assert bool(moved) is accepted
    assert bool([e for e in run.of(FrameRecorded) if e.frame.series == "B"]) is accepted


def test_the_flip_costs_the_planned_dose(tmp_path: Path) -> None:
    session = open_session(tmp_path / "s")
    planned = next(step for step in make_plan(session.protocol).steps if step.id == "flip")
    assert Run(session).go() is ExitCode.OK
    exposures = session.ledger.exposures.values()
    charged = sum(one.dose_e_per_A2 for one in exposures if one.intent.step_id == "flip")
    assert charged == pytest.approx(planned.dose_e_per_A2, rel=1e-6)
    assert all(one.settled for one in exposures)


def test_a_damaged_map_leaves_the_assembly_in_the_middle(tmp_path: Path) -> None:
    def damage(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened):
            (tmp_path / "s" / "maps" / "A-low.mrc").write_bytes(b"no map")

    run = Run(open_session(tmp_path / "s"), on_event=damage)
    assert run.go() is ExitCode.OK
    assert [event for event in run.of(Alerted) if "A-low.mrc" in event.text]


def test_a_map_field_that_is_not_offered_is_left_out(tmp_path: Path) -> None:
    def too_wide(action: str, request_id: str) -> None:
        if "map-A-low" in request_id:
            raise OutOfLimitsError("a field of 768 nm is not offered")

    run = Run(open_session(tmp_path / "s"), FakeMicroscope(fault=too_wide))
    assert run.go() is ExitCode.OK
    maps = SessionFolder(tmp_path / "s").maps
    assert sorted(path.stem for path in maps.iterdir()) == ["A-middle", "B-middle"]
    assert [event for event in run.of(Alerted) if "no map at low magnification" in event.text]


def test_the_nearest_offered_map_field_is_used(tmp_path: Path) -> None:
    class FixedFields(FakeMicroscope):
        def describe(self) -> Description:
            pixels_nm = (1.0, 3.0, 7.5, 12.0)  # 7.5: the shower's field
            offers = tuple(OfferedScan(width_px=48, height_px=48, pixel_nm=nm) for nm in pixels_nm)
            return super().describe().model_copy(update={"offered_scans": offers})

    run = Run(open_session(tmp_path / "s"), FixedFields())
    run.go()
    recorded = run.session.ledger.maps
    assert {name: one.info.scan.pixel_nm for name, one in recorded.items()} == {
        "A-low": 12.0,
        "A-middle": 3.0,
        "B-low": 12.0,
        "B-middle": 3.0,
    }
