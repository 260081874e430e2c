"""Steps that verify the probe current; on a real column that holds the probe on one spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, Run, open_session

ALWAYS = ["shower-1", "A-start", "flip", "B-start"]
CASES = {
    "without height and focus": ("", ALWAYS),
    "with height and focus": (
        "[eucentric]\nenabled = true\ntilt_deg = 10\n[focus]\nbefore_series = true\n",
        ["shower-1", "A-height", "A-start", "flip", "B-start"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_current_is_verified_where_it_may_have_changed(tmp_path: Path, name: str) -> None:
    settings, expected = CASES[name]
    microscope = FakeMicroscope()
    run = Run(open_session(tmp_path / "s", PROTOCOL + settings), microscope)
    assert run.go() is ExitCode.OK
    verified = [request.split("/")[1] for what, request in microscope.log if what == "current"]
    assert verified == expected
