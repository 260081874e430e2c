"""Run small sessions that are killed (-9) at given crash points, in a separate process.

``python -m tests.support.crashing_session FOLDER NAME...`` runs one session in FOLDER/<number> per
crash point NAME. Each runs in a fork of this process, which has already imported everything and
compared the images of the flip check, the same in all sessions.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from controller.procedures.flip import check_flip
from tests.support.fake_microscope import FakeMicroscope
from tests.support.flip_memo import match_once
from tests.support.small_session import Run, open_session


def run_until(folder: Path, moment: str) -> None:
    """Run a session that is killed at the crash point `moment`."""

    def crash_point(name: str) -> None:
        if name == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    microscope = FakeMicroscope(flipped_file=folder.parent / f"{folder.name}-flipped")
    Run(open_session(folder, crash_point=crash_point), microscope).go()


def main(folder: Path, moments: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setattr(check_flip, "match_flip", match_once)
        run_until(Path(name) / "undisturbed", "never")
        for number, moment in enumerate(moments):
            child = os.fork()
            if child == 0:
                run_until(folder / str(number), moment)
                os._exit(0)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
