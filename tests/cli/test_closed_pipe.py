"""A reader that closes its pipe early, such as `head`, is no error of the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from tests.support.inspected_session import make_inspected

COMMAND = (sys.executable, "-m", "controller.app.cli.main")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "{session}"),
        ("compare", "{session}", "{again}"),
        ("config", "schema"),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_is_no_error(words: tuple[str, ...], unbuffered: str, tmp_path: Path) -> None:
    names = {"session": make_inspected(tmp_path / "s1"), "again": make_inspected(tmp_path / "s2")}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        said = subprocess.run(
            [*COMMAND, *(word.format(**names) for word in words)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    finally:
        os.close(writer)
    assert (said.returncode, said.stderr) == (ExitCode.OK, "")
