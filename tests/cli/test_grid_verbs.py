"""Verbs on the folder of a grid: run, stop, resume and report, with sessions that a test sets."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import pytest

from controller.app import follow_queue, grid_queue
from controller.app.cli import demo_grid
from controller.app.cli.main import main
from controller.app.run_queue import Outcome
from controller.common.ctrl_c import HungUpError
from controller.common.exit_codes import ExitCode
from controller.model.count_verdict import CountVerdict, Trust
from controller.rehearsal.accuracy_checks import Accuracy, Score
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.session import journal_file
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import GridFlipped
from tests.support.small_grid import PLACES_NM, write_grid_protocol

COUNTED = SessionStatus(
    counts={
        "fused": CountStatus(
            points=(
                CountPoint(
                    tilts_used=10,
                    n=57,
                    n_low=56,
                    n_high=58,
                    verdict=CountVerdict(state=Trust.TRUSTED),
                ),
            ),
            live=False,
        )
    },
    dose_e_per_A2=2500.0,
)


class FakeSessions:
    """Sessions of a grid without a microscope; `three` is lost, the others have 57 particles."""

    stop_at = ""
    """Target that the operator stops at."""

    def __init__(self, grid: GridFolder, *_: object, **__: object) -> None:
        self._grid = grid

    def run_target(self, name: str) -> Outcome:
        if name == self.stop_at:
            return Outcome(ExitCode.INTERRUPTED, "by the operator")
        if name == "three":
            return Outcome(ExitCode.SAFETY, "no object")
        folder = self._grid.target(name)
        if not folder.path.exists():
            SessionFolder.create(folder.path, f'target = "{name}"')
        folder.status.write_text(COUNTED.model_dump_json())
        return Outcome(ExitCode.OK, recorded=frozenset("AB"))

    def make_results(self, name: str) -> Outcome:
        return Outcome(ExitCode.OK)

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped]:
        return Outcome(ExitCode.OK), GridFlipped(order=recorded, detail="flipped")


@pytest.fixture
def grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """Run a grid until the operator stops at the target `two`."""
    monkeypatch.setattr(grid_queue, "GridSessions", FakeSessions)
    monkeypatch.setattr(FakeSessions, "stop_at", "two")
    protocol = write_grid_protocol(tmp_path, PLACES_NM, seed=7)
    path = tmp_path / "grid"
    assert main(["run", str(protocol), "--headless", "--out", str(path)]) == ExitCode.INTERRUPTED
    assert f"`dualtilt resume {path}` continues" in capsys.readouterr().out
    monkeypatch.setattr(FakeSessions, "stop_at", "")
    return path


def test_a_resumed_grid_ends_with_one_table_of_all_targets(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY  # one was set aside
    said = capsys.readouterr().out
    assert "57 (56 to 58)" in said and "no object" in said
    with (grid / "targets.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: row["state"] for name, row in rows.items()} == {
        **dict.fromkeys(PLACES_NM, "done"),
        "three": "set aside",
    }
    assert rows["one"]["count_fused"] == "57" and rows["one"]["verdict"] == "trusted"
    assert json.loads((grid / "queue-status.json").read_text())["flip"] == "flipped"
    (grid / "report.html").unlink()
    assert main(["report", str(grid)]) == ExitCode.OK
    assert "no object" in (grid / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["resume", "{grid}/sessions/one"], "belongs to a grid", id="one target"),
        pytest.param(
            ["resume", "{grid}", "--rebuild-journal"], "needs a session", id="rebuild the grid"
        ),
        *(
            pytest.param(
                ["resume", place, "--complete", "A"],
                "not for a target of a grid",
                id=f"all of {id_}",
            )
            for place, id_ in (("{grid}", "the grid"), ("{grid}/sessions/one", "a target"))
        ),
        pytest.param(
            ["stop", "{grid}/sessions/one"], "`dualtilt resume {grid}` continues", id="stop of one"
        ),
        *(
            pytest.param(
                [verb, "{grid}", *options.split()],
                "name one of its sessions, {grid}/sessions/NAME",
                id=verb,
            )
            for verb, options in (
                ("inspect", ""),
                ("compare", ""),
                ("process", ""),
                ("export", "--to nexus"),
            )
        ),
        pytest.param(["run", "{protocol}", "--out", "{grid}"], "already holds a grid", id="again"),
        pytest.param(
            ["stop", "{grid}/sessions", "--when", "after-target"], "needs the folder", id="stop"
        ),
        pytest.param(["attach", "{grid}", "--headless"], "its queue does not run", id="attach"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str], says: str, grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (grid / "sessions" / "one" / "journal.jsonl").touch()
    named = {"grid": grid, "protocol": grid.parent / "small-grid.toml"}
    (grid / "lock").write_text("not a process\n")
    assert main([word.format(**named) for word in words]) == ExitCode.USAGE
    assert says.format(**named) in capsys.readouterr().err


def test_a_stop_after_the_target_is_obeyed_once(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    obeyed = FakeSessions.run_target

    def stopping(self: FakeSessions, name: str) -> Outcome:
        assert main(["stop", str(grid), "--when", "after-target"]) == ExitCode.OK
        return obeyed(self, name)

    monkeypatch.setattr(FakeSessions, "run_target", stopping)
    assert main(["resume", str(grid), "--headless"]) == ExitCode.INTERRUPTED
    assert "stopped after a target, as asked" in capsys.readouterr().out
    monkeypatch.setattr(FakeSessions, "run_target", obeyed)
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY


@pytest.mark.parametrize(
    ("running", "seen"),
    [
        pytest.param("one one", "one", id="detached"),
        pytest.param("one two two - - three - -", "one two three", id="each in turn"),
    ],
)
def test_attached_to_a_grid_the_sessions_are_shown_in_turn(
    running: str, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: GridFolder(tmp_path).target(name).path for name in seen.split()}
    left = running.split()

    def find() -> list[Path]:
        return [folders[name] for name in [left.pop(0)] if name in folders]

    shown: list[str] = []
    lines: list[str] = []
    monkeypatch.setattr(follow_queue, "find_sessions", find)
    monkeypatch.setattr(follow_queue, "POLL_INTERVAL_S", 0.0)
    monkeypatch.setattr(follow_queue, "working_process", lambda _: left or None)

    def show(folder: Path) -> ExitCode:
        shown.append(folder.name)
        return ExitCode.OK

    assert follow_queue.follow_queue(tmp_path, show, lines.append) == ExitCode.OK
    assert shown == seen.split()


def test_a_full_disk_ends_the_queue_with_one_line_that_says_how_to_continue(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "sync_data", full)
        assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY
    said = capsys.readouterr().err
    assert f"{grid}: No space left on device" in said and f"dualtilt resume {grid}" in said
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY  # one was set aside
    assert "57 (56 to 58)" in capsys.readouterr().out


def test_a_lock_that_cannot_be_opened_is_named_in_one_line(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (grid / "lock").unlink()
    (grid / "lock").mkdir()
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY
    said = capsys.readouterr().err
    assert f"{grid}/lock: Is a directory" in said and f"dualtilt resume {grid}" in said
    (grid / "lock").rmdir()
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY  # one was set aside
    assert "57 (56 to 58)" in capsys.readouterr().out


def test_a_queue_whose_terminal_is_closed_says_how_to_continue(
    grid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang_up(*_: object) -> Outcome:
        raise HungUpError

    with monkeypatch.context() as patched:
        patched.setattr(FakeSessions, "run_target", hang_up)
        assert main(["resume", str(grid), "--headless"]) == ExitCode.INTERRUPTED
    said = capsys.readouterr().err
    assert "hung up" in said and f"its queue does not: dualtilt resume {grid}" in said
    assert main(["resume", str(grid), "--headless"]) == ExitCode.SAFETY  # one was set aside


def test_a_grid_whose_targets_changed_is_not_resumed(
    grid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = grid / "protocol.toml"
    protocol.write_text(protocol.read_text().replace('name = "four"', 'name = "five"'))
    assert main(["resume", str(grid), "--headless"]) == ExitCode.USAGE
    assert "its targets have changed" in capsys.readouterr().err


def test_the_demo_of_a_grid_misses_a_wrong_particle_and_a_loose_target_that_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grid_queue, "GridSessions", FakeSessions)

    def read(path: Path) -> Accuracy:
        recall = 56 / 57 if path.parent.name == "east" else 1.0
        fused = Score(
            found=57, recall=recall, precision=1.0, rms_nm=None, recall_by_depth=(1.0, 1.0, 1.0)
        )
        return Accuracy(n_truth=57, tolerance_nm=1.5, tables={"fused": fused})

    monkeypatch.setattr(demo_grid, "read_accuracy", read)
    words = ["demo", "--grid", "--headless", "--out", str(tmp_path / "g")]
    assert main(words) == ExitCode.ACCURACY_MISSED
    said = capsys.readouterr().out
    assert "centre: 57 found, 57 true, F1 1.0000" in said
    assert "missed: east: F1 0.9912 is below 0.999" in said
    assert "missed: loose: done, although its assembly has fallen off" in said
    assert said.count("missed") == 2
