"""Flip: done, not done, done at the second try, overridden, stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer
from controller.model.events import Event, FlipChecked, FrameRecorded, PromptAnswered, PromptOpened
from controller.model.protocol import read_protocol
from controller.model.sections.flip import Flip
from controller.procedures.flip.check_flip import judge_flip
from processing.images.flip import FlipMatch, FlipPose, ScoredPose
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, Run, open_session


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
        "turned in the plane, then stopped",
        [say("flip", "turned-in-plane"), say("flip-check", "stop")],
        ExitCode.SAFETY,
        [False],
        0,
    ),
    Story(
        "not flipped, image retaken, overridden",
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
def test_b_is_recorded_only_after_a_confirmed_flip(tmp_path: Path, story: Story) -> None:
    run = Run(open_session(tmp_path / "s"), answers=list(story.answers))
    assert run.go() is story.code
    assert [check.accepted for check in run.of(FlipChecked)] == story.accepted
    assert len([e for e in run.of(FrameRecorded) if e.frame.series == "B"]) == story.frames_b
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


SPOILT = {
    "shrunk": ({"size": 0.93}, r"shrunk by [678]\.\d% .*flip\.max_shrinkage = 0\.03"),
    "another detector gain": ({"gain": 0.7}, r"with (69|70|71)% of the signal in series A"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_flipped_object_that_has_changed_is_refused(tmp_path: Path, name: str) -> None:
    change, words = SPOILT[name]
    microscope = FakeMicroscope()

    def spoil(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptAnswered) and event.prompt_id == "flip":
            vars(microscope).update(change)

    answers = [say("flip", "done"), say("flip-check", "stop")]
    run = Run(open_session(tmp_path / "s"), microscope, answers=answers, on_event=spoil)
    assert run.go() is ExitCode.SAFETY
    (check,) = run.of(FlipChecked)
    assert re.search(words, check.found), check.found
    assert check.flipped_score > check.same_side_score
    assert not [e for e in run.of(FrameRecorded) if e.frame.series == "B"]


def match(
    flipped: float, same: float, *, scale: float = 1.0, signal: float = 1.0, size_nm: float = 150.0
) -> FlipMatch:
    sides = [ScoredPose(score, FlipPose(71.0, 0.5, -1.0, scale)) for score in (flipped, same)]
    return FlipMatch(sides[0], sides[1], min(sides), (3.0, 4.0), signal, size_nm)


FINDINGS = {
    "flipped": (match(0.7, 0.3), "flipped, turned by 71 degrees in the plane"),
    "same side up": (match(0.3, 0.8), "same side up, turned by 71 degrees"),
    "flipped hardly better than same side up": (match(0.6, 0.57), "unclear"),
    "another object": (match(0.3, 0.1), "neither side of the object of series A"),
    "perhaps another small crystal": (match(0.62, 0.39, size_nm=64.0), "unclear: flipped fits"),
    "small, but certain": (match(0.85, 0.6, size_nm=64.0), "flipped, turned"),
    "of middle size": (match(0.62, 0.3, size_nm=100.0), "flipped, turned"),
    "shrunk": (match(0.7, 0.3, scale=0.95), "shrunk by 5.0%"),
    "another magnification": (match(0.7, 0.3, scale=1.06), "grown by 6.0%"),
    "shrunk within the limit": (match(0.7, 0.3, scale=0.98), "flipped, turned"),
    "particles lost": (match(0.7, 0.3, signal=0.8), "80% of the signal"),
    "same side up, another detector gain": (match(0.3, 0.7, signal=0.8), "same side up"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_the_result_of_the_flip_check_is_described_in_words(name: str) -> None:
    seen, words = FINDINGS[name]
    check = judge_flip(seen, 1.0, Flip())
    assert words in check.found
    assert check.accepted is ("flipped, turned" in words)


@pytest.mark.parametrize(("current_pA", "allowed"), [(66.0, True), (60.0, False)])
def test_b_needs_the_current_of_a(tmp_path: Path, current_pA: float, allowed: bool) -> None:
    path = tmp_path / "protocol.toml"
    path.write_text(PROTOCOL.replace("[series_b]", f"[series_b]\ncurrent_pA = {current_pA}"))
    if allowed:
        assert read_protocol(path).series_b.current_pA == current_pA
        return
    with pytest.raises(UsageError, match=r"series_b\.current_pA = 60 is not series A's 70 within"):
        read_protocol(path)
