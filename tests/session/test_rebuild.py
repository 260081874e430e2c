"""A journal damaged in the middle, rebuilt from its good lines, the stack and the mdoc."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import pytest

from controller.app import start_session
from controller.app.cli import main as cli
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer, StopWhen
from controller.model.events import Event, FrameRecorded, PromptOpened, Showered
from controller.model.plan import make_plan
from controller.session.errors import JournalDamagedError, SessionInUseError
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from controller.session.rebuild import rebuild_journal
from controller.session.recovery import recover
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import TILTS_A, TILTS_B, Run, open_session


@pytest.fixture
def in_b(tmp_path: Path) -> Path:
    """Folder of a session that was stopped after two tilts of B."""

    def look(event: Event, engine: object) -> None:
        if is_frame(event, "B", 1):
            run.engine.stop(StopWhen.AFTER_TILT)

    microscope = FakeMicroscope(flipped_file=tmp_path / "flipped")
    run = Run(open_session(tmp_path / "s"), microscope, on_event=look)
    assert run.go() is ExitCode.INTERRUPTED
    return tmp_path / "s"


def rebuild(path: Path) -> tuple[str, ...]:
    folder = SessionFolder.open(path)
    return rebuild_journal(folder, make_plan(folder.read_protocol()))


def damage(path: Path, kind: str, which: int = 0) -> None:
    """Flip a bit in the `which`-th line that holds an entry of a kind."""
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if f'"kind":"{kind}"'.encode() in line]
    number = places[which]
    lines[number] = lines[number].replace(b'"kind"', b'"kimd"', 1)
    (path / "journal.jsonl").write_bytes(b"".join(lines))


@dataclass(frozen=True)
class Damage:
    name: str
    change: Callable[[Path], None]
    report: str


def three_frames(path: Path) -> None:
    for which in (5, 2, 1):
        damage(path, "frame-written", which)


def every_line(path: Path) -> None:
    content = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (path / "journal.jsonl").write_bytes(b"".join(b"?" * (len(c) - 1) + b"\n" for c in content))


def keep_lines(path: Path, count: int, cut_bytes: int = 0) -> None:
    """Cut off the end of the journal: nothing in the rest of it is damaged."""
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:count])
    (path / "journal.jsonl").write_bytes(kept[: len(kept) - cut_bytes])


DAMAGE = [
    Damage("a frame of A", lambda path: damage(path, "frame-written", 1), "A#2 (-10 degrees)"),
    Damage(
        "the last frame of A", lambda path: damage(path, "frame-written", 4), "A#5 (+20 degrees)"
    ),
    Damage("three frames", three_frames, "B.mrc: B#1 (-20 degrees)"),
    Damage("the flip", lambda path: damage(path, "flip-judged"), "is damaged"),
    Damage("a shower", lambda path: damage(path, "step-done", 1), "is damaged"),
    Damage("the opening", lambda path: damage(path, "session-opened"), "line 1 is damaged"),
    Damage("every line", every_line, "A.mrc: A#1 (-20 degrees)"),
    Damage("cut off in B", lambda path: keep_lines(path, -1), "B.mrc: B#2 (-10 degrees)"),
    Damage("cut off in A", lambda path: keep_lines(path, 25), "B.mrc: B#1 (-20 degrees)"),
    Damage("cut within a line", lambda path: keep_lines(path, 99, 1), "B.mrc: B#2"),
    Damage("empty", lambda path: keep_lines(path, 0), "A.mrc: A#1 (-20 degrees)"),
]


@pytest.mark.parametrize("case", DAMAGE, ids=lambda case: case.name)
def test_a_damaged_journal_is_rebuilt_and_the_session_ends_with_every_frame(
    in_b: Path, tmp_path: Path, case: Damage
) -> None:
    before = recover(SessionFolder.open(in_b))
    pixels = {name: (in_b / f"{name}.mrc").read_bytes()[1024:] for name in "AB"}
    case.change(in_b)
    damaged = (in_b / "journal.jsonl").read_bytes()
    with pytest.raises(JournalDamagedError, match="--rebuild-journal"):
        open_session(in_b)
    assert (in_b / "journal.jsonl").read_bytes() == damaged

    assert any(case.report in line for line in rebuild(in_b))
    after = recover(SessionFolder.open(in_b))
    assert after.dose_e_per_A2 >= before.dose_e_per_A2
    assert after.report == ()
    assert [p.read_bytes() for p in (in_b / "quarantine").iterdir()] == [damaged]

    microscope = FakeMicroscope("boot-2", flipped_file=tmp_path / "flipped")
    run = Run(open_session(in_b), microscope)
    assert run.go() is ExitCode.OK
    assert run.of(PromptOpened) == []  # the flip stands
    assert run.of(Showered) == []
    assert [(e.frame.series, e.frame.nominal_deg) for e in run.of(FrameRecorded)] == [
        ("B", 0.0),
        ("B", 10.0),
    ]
    for name, tilts in (("A", TILTS_A), ("B", TILTS_B)):
        assert (in_b / f"{name}.mrc").read_bytes()[1024:].startswith(pixels[name])
        assert mrcfile.read(in_b / f"{name}.mrc").shape[0] == len(tilts)
        assert [float(t) for t in (in_b / f"{name}.rawtlt").read_text().split()] == tilts


def test_exposures_whose_lines_may_be_cut_off_are_charged(in_b: Path) -> None:
    folder = SessionFolder.open(in_b)
    before = recover(folder).dose_e_per_A2
    one_step = max(step.dose_e_per_A2 for step in make_plan(folder.read_protocol()).steps)
    keep_lines(in_b, -1)
    rebuild(in_b)
    assert recover(folder).dose_e_per_A2 >= before + one_step


def test_the_rebuilt_journal_has_the_checksums_of_the_stack(in_b: Path) -> None:
    damage(in_b, "frame-written", 2)
    rebuild(in_b)
    frames = recover(SessionFolder.open(in_b)).ledger.frames["A"]
    images = mrcfile.read(in_b / "A.mrc")
    assert [frame.crc32 for frame in frames] == [zlib.crc32(image.tobytes()) for image in images]
    assert [frame.step_id for frame in frames] == [f"A-{i:03d}" for i in range(1, 6)]
    lines = read_journal(in_b / "journal.jsonl").lines
    assert [line.seq for line in lines] == list(range(len(lines)))


def test_a_frame_in_neither_journal_nor_mdoc_is_refused_and_nothing_changed(in_b: Path) -> None:
    damage(in_b, "frame-written", 2)
    (in_b / "A.mrc.mdoc").unlink()
    before = (in_b / "journal.jsonl").read_bytes()
    with pytest.raises(JournalDamagedError, match=r"section 2 of A\.mrc"):
        rebuild(in_b)
    assert (in_b / "journal.jsonl").read_bytes() == before


def test_the_resume_verb_rebuilds_the_journal_on_request(
    in_b: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[SessionFolder] = []
    monkeypatch.setattr(start_session, "start", lambda folder, bridge: started.append(folder))
    monkeypatch.setattr(start_session, "watch", lambda folder, **_: ExitCode.OK)
    damage(in_b, "frame-written", 2)
    assert cli.main(["resume", str(in_b), "--headless", "--rebuild-journal"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "A#3 (+0 degrees) was restored" in said
    assert "the damaged journal is kept in quarantine" in said
    assert started == [SessionFolder(in_b)]
    assert recover(SessionFolder.open(in_b)).report == ()


def test_a_session_without_its_journal_is_named_and_rebuilt_on_request(
    in_b: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start_session, "start", lambda folder, bridge: None)
    monkeypatch.setattr(start_session, "watch", lambda folder, **_: ExitCode.OK)
    (in_b / "journal.jsonl").unlink()
    for words in (["resume", str(in_b), "--headless"], ["attach", str(in_b), "--headless"]):
        assert cli.main(words) == ExitCode.USAGE
        said = capsys.readouterr().err
        assert "journal.jsonl is missing" in said
        assert f"dualtilt resume {in_b} --rebuild-journal" in said
    assert not (in_b / "journal.jsonl").exists()
    assert cli.main(["resume", str(in_b), "--headless", "--rebuild-journal"]) == ExitCode.OK
    assert "B#2 (-10 degrees) was restored" in capsys.readouterr().out
    ledger = recover(SessionFolder.open(in_b)).ledger
    assert [len(ledger.frames[name]) for name in ("A", "B")] == [len(TILTS_A), 2]


def test_a_running_session_is_left_alone(in_b: Path) -> None:
    session = open_session(in_b)
    with pytest.raises(SessionInUseError):
        rebuild(in_b)
    session.close()


def test_the_flip_is_asked_for_again_if_its_answer_is_lost(tmp_path: Path) -> None:
    """No frame of B was recorded and the line of the answer is lost."""
    path, world = tmp_path / "s", tmp_path / "flipped"
    answers = [Answer(prompt_id="flip", value="stop")]
    assert Run(open_session(path), answers=answers).go() is ExitCode.INTERRUPTED
    damage(path, "answered")
    rebuild(path)
    run = Run(open_session(path), FakeMicroscope("boot-2", flipped_file=world))
    assert run.go() is ExitCode.OK
    assert [event.prompt.id for event in run.of(PromptOpened)] == ["flip"]


def test_a_frame_recorded_again_stays_withdrawn_in_a_rebuilt_journal(tmp_path: Path) -> None:
    def retake(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 2):
            engine.retake(1)

    assert Run(open_session(tmp_path / "s"), on_event=retake).go() is ExitCode.OK
    every_line(tmp_path / "s")
    rebuild(tmp_path / "s")
    ledger = recover(SessionFolder.open(tmp_path / "s")).ledger
    assert ledger.withdrawn == {("A", 2)}
    step_ids = [frame.step_id for frame in ledger.frames["A"]]
    assert step_ids == ["A-001", "A-002", "A-003", "A-003", "A-004", "A-005"]
    assert {f"A-00{number}" for number in range(1, 6)} <= ledger.completed
