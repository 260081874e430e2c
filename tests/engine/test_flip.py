"""The flip: done, not done, done at the second try, overridden, given up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.commands import Answer
from controller.engine import Engine
from controller.errors import UsageError
from controller.events import Event, FlipChecked, FrameRecorded, PromptAnswered, PromptOpened
from controller.exit_codes import ExitCode
from controller.microscope.interface import ScanSettings
from controller.steps.flip import match_images
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session


def say(prompt_id: str, value: str, reason: str = "") -> Answer:
    return Answer(prompt_id=prompt_id, value=value, reason=reason)


@dataclass(frozen=True)
class Story:
    name: str
    answers: list[Answer]
    code: ExitCode
    accepted: list[bool]
    frames_b: int


STORIES = [
    Story("flipped", [say("flip", "done")], ExitCode.OK, [True], 4),
    Story(
        "not flipped, then flipped",
        [say("flip", "not-flipped"), say("flip-check", "back-to-flip"), say("flip", "done")],
        ExitCode.OK,
        [False, True],
        4,
    ),
    Story(
        "turned in the plane, given up",
        [say("flip", "turned-in-plane"), say("flip-check", "stop")],
        ExitCode.SAFETY,
        [False],
        0,
    ),
    Story(
        "not flipped, looked at again, overridden",
        [
            say("flip", "not-flipped"),
            say("flip-check", "retake-image"),
            say("flip-check", "override", "the marker is on the other side"),
        ],
        ExitCode.OK,
        [False, False],
        4,
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_b_is_recorded_only_behind_a_flip(tmp_path: Path, story: Story) -> None:
    run = Run(open_session(tmp_path / "s"), answers=list(story.answers))
    assert run.go() is story.code
    assert [check.accepted for check in run.of(FlipChecked)] == story.accepted
    assert len([e for e in run.of(FrameRecorded) if e.series == "B"]) == story.frames_b
    assert [e.value for e in run.of(PromptAnswered)] == [a.value for a in story.answers]


def test_an_override_needs_a_reason(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened) and event.prompt.id == "flip-check":
            assert event.prompt.needs_reason == ("override",)
            with pytest.raises(UsageError, match="override needs a reason"):
                engine.answer(say("flip-check", "override", "  "))
            engine.answer(say("flip-check", "stop"))

    answers = [say("flip", "not-flipped")]
    run = Run(open_session(tmp_path / "s"), answers=answers, on_event=look)
    assert run.go() is ExitCode.SAFETY


SCAN = ScanSettings(width_px=48, height_px=48, pixel_nm=1.0, dwell_us=10.0)


def image(*, flipped: bool, alpha_deg: float = 0.0) -> np.ndarray:
    microscope = FakeMicroscope()
    microscope.flipped = flipped
    microscope.stage = microscope.stage.model_copy(update={"alpha_deg": alpha_deg})
    return microscope.image(SCAN)


FINDINGS = {
    "flipped": (image(flipped=True), "flipped, turned by"),
    "the same side": (image(flipped=False), "not flipped"),
    "nothing": (np.full((48, 48), 100, np.uint16), "one value only"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_what_is_found_is_said_in_words(name: str) -> None:
    seen, words = FINDINGS[name]
    check = match_images([image(flipped=False)], seen, 1.0, 0.1)
    assert words in check.found
    assert check.accepted is (name == "flipped")
