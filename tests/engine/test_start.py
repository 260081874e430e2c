"""The start of a session, asked for where the protocol wants it so."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.commands import Answer
from controller.events import Checked, PromptOpened, StateChanged
from controller.exit_codes import ExitCode
from tests.support.small_session import PROTOCOL, Run, open_session

ASKING = "ask_before_start = true\n" + PROTOCOL
FLIPPED = Answer(prompt_id="flip", value="done")


def answer(value: str) -> Answer:
    return Answer(prompt_id="preflight", value=value)


@pytest.mark.parametrize(
    ("protocol", "answers", "code", "asked"),
    [
        pytest.param(ASKING, [answer("start"), FLIPPED], ExitCode.OK, 1, id="start"),
        pytest.param(ASKING, [answer("stop")], ExitCode.INTERRUPTED, 1, id="stop"),
        pytest.param(PROTOCOL, [FLIPPED], ExitCode.OK, 0, id="not asked for"),
    ],
)
def test_the_start_is_asked_for(
    tmp_path: Path, protocol: str, answers: list[Answer], code: ExitCode, asked: int
) -> None:
    exposed: list[int] = []

    def look(event: object, engine: object) -> None:
        if isinstance(event, PromptOpened) and event.prompt.id == "preflight":
            assert all(check.ok for check in run.of(Checked))
            exposed.append(run.microscope.exposures)

    run = Run(open_session(tmp_path / "s", protocol), answers=answers, on_event=look)
    assert run.go() is code, run.of(StateChanged)[-1].reason
    assert exposed == [0] * asked
    assert (run.microscope.exposures > 0) == (code is ExitCode.OK)
