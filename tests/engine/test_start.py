"""Prompt before the start of a session, with a low-dose image of the object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer, StopWhen
from controller.model.events import (
    Checked,
    Event,
    Phase,
    PhaseStarted,
    PreviewReady,
    PromptOpened,
    SessionStarted,
    StateChanged,
)
from controller.model.plan import make_plan
from controller.model.protocol import read_protocol
from controller.model.stage import StagePosition
from controller.procedures.preflight import check_image_size
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, Run, open_session

ASKING = "ask_before_start = true\n" + PROTOCOL
NO_SHOWER = ASKING.replace("[shower]\n", "[shower]\nenabled = false\n")
FLIPPED = Answer(prompt_id="flip", value="done")


def answer(value: str) -> Answer:
    return Answer(prompt_id="preflight", value=value)


@dataclass(frozen=True)
class Case:
    """Answers to the prompt, and the number of shots each time it opened."""

    name: str
    answers: tuple[Answer, ...]
    code: ExitCode = ExitCode.OK
    protocol: str = ASKING
    shots: tuple[int, ...] = (1,)


CASES = (
    Case("start", (answer("start"), FLIPPED)),
    Case(
        "two more shots",
        (answer("look"), answer("look"), answer("start"), FLIPPED),
        shots=(1, 2, 3),
    ),
    Case("stop", (answer("stop"),), ExitCode.INTERRUPTED),
    Case(
        "one more shot, then stop",
        (answer("look"), answer("stop")),
        ExitCode.INTERRUPTED,
        shots=(1, 2),
    ),
    Case("no prompt", (FLIPPED,), protocol=PROTOCOL, shots=()),
)


def preflight_shots(microscope: FakeMicroscope) -> int:
    """Count the low-dose shots of the pre-flight."""
    return sum("/preflight/" in name for what, name in microscope.log if what == "acquire")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_session_asks_before_the_start(tmp_path: Path, case: Case) -> None:
    shots: list[int] = []

    def watch(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened) and event.prompt.id == "preflight":
            assert all(check.ok for check in run.of(Checked))
            shots.append(run.microscope.exposures)

    run = Run(open_session(tmp_path / "s", case.protocol), answers=[*case.answers], on_event=watch)
    assert run.go() is case.code, run.of(StateChanged)[-1].reason
    assert tuple(shots) == case.shots
    assert preflight_shots(run.microscope) == len(case.shots)
    assert (run.microscope.exposures > len(case.shots)) == (case.code is ExitCode.OK)


@dataclass(frozen=True)
class Seen:
    """Position of the stage, and the check of the object in view."""

    name: str
    stage: StagePosition
    ok: bool
    detail: str
    advised: str
    off_nm: float | None = None


SEEN = (
    Seen("centred", StagePosition(), True, "nm off centre", "start", 0.0),
    Seen(
        "near the centre",
        StagePosition(x_nm=2.0, y_nm=-1.5),
        True,
        "nm off centre",
        "start",
        2.5,
    ),
    Seen("far from the centre", StagePosition(x_nm=9.0), False, "centre it by hand", "look", 9.0),
    Seen("not in view", StagePosition(x_nm=900.0), False, "none in view", "look"),
)


@pytest.mark.parametrize("case", SEEN, ids=lambda case: case.name)
def test_the_object_in_view_is_described_and_shown(tmp_path: Path, case: Seen) -> None:
    microscope = FakeMicroscope()
    microscope.stage = case.stage
    run = Run(open_session(tmp_path / "s", ASKING), microscope, answers=[answer("stop")])
    assert run.go() is ExitCode.INTERRUPTED
    [found] = [check for check in run.of(Checked) if check.name == "object"]
    assert found.ok is case.ok and case.detail in found.detail
    off_nm = re.findall(r"([\d.]+) nm off", found.detail)
    assert [float(off) for off in off_nm] == pytest.approx(
        [] if case.off_nm is None else [case.off_nm], abs=1.0
    )
    [opened] = run.of(PromptOpened)
    assert opened.prompt.choices[0] == case.advised
    assert sorted(opened.prompt.choices) == ["look", "start", "stop"]
    assert found.detail in opened.prompt.text
    assert "5 + 4 tilts" in opened.prompt.text and "nothing" not in opened.prompt.text
    [shown] = [event for event in run.of(PreviewReady) if event.view == "frame"]
    assert shown.caption == "pre-flight +0.0°"
    assert run.microscope.stage == case.stage  # the stage does not move


def test_another_shot_finds_the_object_that_was_centred(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.stage = StagePosition(x_nm=900.0)

    def bring_back(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened):
            microscope.stage = StagePosition()

    answers = [answer("look"), answer("stop")]
    run = Run(open_session(tmp_path / "s", ASKING), microscope, answers=answers)
    run.on_event = bring_back
    run.go()
    assert [check.ok for check in run.of(Checked) if check.name == "object"] == [False, True]


@pytest.mark.parametrize(
    ("protocol", "current_pA"),
    [
        pytest.param(ASKING, 40.0, id="current of the shower"),
        pytest.param(NO_SHOWER, 70.0, id="current of series A"),
    ],
)
def test_each_shot_is_charged_at_its_current_and_one_is_planned(
    tmp_path: Path, protocol: str, current_pA: float
) -> None:
    session = open_session(tmp_path / "s", protocol)
    run = Run(session, answers=[answer("look"), answer("stop")])
    run.go()
    spent = session.ledger.dose_e_per_A2
    [first, _] = make_plan(session.protocol).steps[:2]
    later = sum(step.dose_e_per_A2 for step in make_plan(session.protocol).steps[1:])
    assert run.microscope.current_pA == current_pA
    assert spent > 0 and spent == pytest.approx(2 * first.dose_e_per_A2)
    assert first.planned_dose_e_per_A2 == pytest.approx(first.dose_e_per_A2 + later)
    assert first.duration_s > 0


def test_no_shot_is_planned_without_ask_before_start(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(PROTOCOL)
    [first, *_] = make_plan(read_protocol(tmp_path / "p.toml")).steps
    assert (first.dose_e_per_A2, first.duration_s) == (0.0, 0.0)


def test_nothing_is_exposed_with_a_wrong_current(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.current_error = 0.5
    run = Run(open_session(tmp_path / "s", ASKING), microscope)
    assert run.go() is ExitCode.SAFETY
    assert "probe current" in run.of(StateChanged)[-1].reason
    assert microscope.exposures == 0 and microscope.blanked and run.of(PromptOpened) == []


@pytest.mark.parametrize(
    ("stopped_at", "current_pA", "left"),
    [
        pytest.param("shower-2", 40.0, "5 + 4 tilts left", id="in the shower"),
        pytest.param("A-003", 70.0, "3 + 4 tilts left", id="in series A"),
        pytest.param("B-002", 70.0, "0 + 3 tilts left", id="in series B"),
    ],
)
def test_a_resumed_session_uses_the_next_current_and_lists_what_is_left(
    tmp_path: Path, stopped_at: str, current_pA: float, left: str
) -> None:
    def stop_there(action: str, request_id: str) -> None:
        if f"/{stopped_at}/" in request_id and action == "acquire":
            raise RuntimeError("crash")

    start = [answer("start"), FLIPPED]
    run = Run(open_session(tmp_path / "s", ASKING), FakeMicroscope(fault=stop_there), answers=start)
    with pytest.raises(RuntimeError):
        run.go()
    flipped = run.microscope.flipped
    microscope = FakeMicroscope(boot_id="boot-2")
    microscope.flipped = flipped
    seen: list[float] = []
    session = open_session(tmp_path / "s")
    spent, whole = session.ledger.dose_e_per_A2, make_plan(session.protocol).dose_e_per_A2
    again = Run(session, microscope, answers=[answer("start"), FLIPPED])
    again.on_event = lambda event, engine: (
        seen.append(microscope.current_pA) if isinstance(event, PromptOpened) else None
    )
    assert again.go() is ExitCode.OK
    assert seen[0] == current_pA
    text = again.of(PromptOpened)[0].prompt.text
    assert left in text and f" e/Å² after {spent:.0f} so far" in text
    [dose] = re.findall(r"(\d+) e/Å² after", text)
    assert float(dose) < whole - 0.5 * spent
    planned = again.of(SessionStarted)[0].planned_dose_e_per_A2
    assert planned == pytest.approx(spent + float(dose), abs=0.5)
    assert spent < session.ledger.dose_e_per_A2 <= 1.01 * planned


def test_a_resumed_session_without_exposures_left_does_not_ask(tmp_path: Path) -> None:
    answers = [answer("start"), FLIPPED]
    run = Run(open_session(tmp_path / "s", ASKING), answers=answers)

    def stop_before_the_fusion(event: Event, engine: Engine) -> None:
        if event == PhaseStarted(phase=Phase.FUSE):
            engine.stop(StopWhen.NOW)

    run.on_event = stop_before_the_fusion
    assert run.go() is ExitCode.INTERRUPTED
    again = Run(open_session(tmp_path / "s"), FakeMicroscope(boot_id="boot-2"), answers=[])
    assert again.go() is ExitCode.OK
    assert again.of(PromptOpened) == [] and again.microscope.exposures == 0


@pytest.mark.parametrize(
    ("processing", "says"),
    [
        pytest.param("", "with bin 4 or less", id="a bin that keeps the particles"),
        pytest.param(
            "memory_limit_GB = 0.01",
            "if the object fills the field, pixels of 2 nm are too coarse for particles of 6.3 nm: "
            "raise processing.memory_limit_GB",
            id="little memory",
        ),
        pytest.param(
            "bin = 12",
            "; pixels of 2.4 nm are too coarse for particles of 6.3 nm: choose a smaller "
            "processing.bin",
            id="a bin that was asked for",
        ),
    ],
)
def test_the_check_of_the_image_size_names_pixels_too_coarse_to_count(
    tmp_path: Path, processing: str, says: str
) -> None:
    path = tmp_path / "protocol.toml"
    path.write_text(
        'name = "x"\n[scan]\nwidth_px = 1024\nheight_px = 1024\npixel_nm = 0.2\ndwell_us = 1.0\n'
        f"[processing]\ndiameter_nm = 6.3\n{processing}\n"
    )
    check = check_image_size(read_protocol(path))
    assert check.ok and says in check.detail
    assert ("too coarse" in check.detail) is bool(processing)
