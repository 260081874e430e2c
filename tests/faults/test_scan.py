"""Scan mirrored or rotated by a changed setting: it is named, and B waits until it is restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.base import SeriesName
from controller.model.commands import Answer
from controller.model.events import Event, FlipChecked, FrameRecorded, PromptOpened
from controller.rehearsal.load_microscope import load_microscope
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session

Image = np.ndarray


def frames(run: Run, series: SeriesName) -> int:
    return sum(event.frame.series == series for event in run.of(FrameRecorded))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda image: image[:, ::-1], "mirrored", id="left to right"),
        pytest.param(lambda image: image[::-1], "mirrored", id="top to bottom"),
        pytest.param(lambda image: image.T, "mirrored", id="about the diagonal"),
        pytest.param(lambda image: image[::-1, ::-1], "rotated by about 180", id="half a turn"),
        pytest.param(np.rot90, "rotated by about 270", id="a quarter"),
    ],
)
@pytest.mark.parametrize("flipped", ["done", "not-flipped"])
def test_series_b_waits_until_the_scan_is_restored(
    tmp_path: Path, change: Callable[[Image], Image], told: str, flipped: str
) -> None:
    microscope = FakeMicroscope()

    def change_setting(event: Event, engine: Engine) -> None:
        if (
            isinstance(event, PromptOpened)
            and event.prompt.id == "flip"
            and not run.of(FlipChecked)
        ):
            microscope.scan_change = lambda image: np.ascontiguousarray(change(image))
        if isinstance(event, FlipChecked):
            assert frames(run, "B") == 0

    def answer(event: Event, engine: Engine) -> None:
        change_setting(event, engine)
        if not isinstance(event, PromptOpened):
            return
        if event.prompt.id == "flip":
            first = not run.of(FlipChecked)
            engine.answer(Answer(prompt_id="flip", value=flipped if first else "done"))
        elif told in run.of(FlipChecked)[-1].found:
            microscope.scan_change = lambda image: image
            engine.answer(Answer(prompt_id="flip-check", value="retake-image"))
        else:
            engine.answer(Answer(prompt_id="flip-check", value="back-to-flip"))

    run = Run(open_session(tmp_path / "s"), microscope, answers=[], on_event=answer)
    assert run.go() is ExitCode.OK
    checks = run.of(FlipChecked)
    assert told in checks[0].found
    assert not checks[0].accepted and checks[-1].accepted
    assert frames(run, "B") == 4


TURNING = """
name = "scan"
[scan]
width_px = 96
height_px = 96
pixel_nm = 0.9
dwell_us = 5.0
[shower]
enabled = false
[series_a]
start_deg = -4.0
stop_deg = 4.0
[series_b]
start_deg = -4.0
stop_deg = 4.0
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("action", "told"),
    [("scan-changed", "the scan is mirrored"), ("done", "flipped")],
)
def test_a_mirrored_scan_is_distinguished_from_a_flip_on_the_simulator(
    tmp_path: Path, seed: int, action: str, told: str
) -> None:
    specimen = {"packing": "disordered", "assembly_diameter_nm": 60.0, "other_assemblies_nm": []}
    simulator = load_microscope("simulator", {"seed": seed, "specimen": specimen}, None, False)
    answers = [
        Answer(prompt_id="flip", value=action),
        Answer(prompt_id="flip-check", value="stop"),
    ]
    run = Run(open_session(tmp_path / "s", TURNING), connect=lambda: simulator, answers=answers)
    run.go()
    assert run.of(FlipChecked)[0].found.startswith(told)
    assert frames(run, "B") == (5 if action == "done" else 0)
