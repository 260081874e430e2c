"""Plan: its steps with time and dose, and the steps left after an interruption."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import pytest

from controller.app.cli import check, plan
from controller.common.exit_codes import ExitCode
from controller.engine.remaining import steps_to_do
from controller.model.plan import Plan, make_plan
from controller.model.processing_jobs import Job
from controller.model.protocol import Protocol
from controller.model.steps import step_name
from controller.session.entries import Entry, JobEnded, StepDone
from controller.session.ledger import replay
from tests.support.small_session import PROTOCOL


def small(**changes: object) -> Protocol:
    return Protocol.model_validate({**tomllib.loads(PROTOCOL), **changes})


IN_ORDER = [
    *("preflight", "shower-1", "shower-2"),
    *("A-start", "A-001", "A-002", "A-003", "A-004", "A-005", "process-A"),
    "flip",
    *("B-start", "B-001", "B-002", "B-003", "B-004", "process-B"),
    *("fuse", "report"),
]


def ids(made: Plan) -> list[str]:
    return [step.id for step in made.steps]


STEP_NAMES = [
    ("A-001", "A#1"),
    ("B-073", "B#73"),
    ("A-1000", "A#1000"),
    ("A-start", "A-start"),
    ("shower-1", "shower-1"),
]


@pytest.mark.parametrize(("step_id", "name"), STEP_NAMES)
def test_a_tilt_has_one_name_for_people(step_id: str, name: str) -> None:
    assert step_name(step_id) == name


def test_the_steps_of_a_session() -> None:
    assert ids(make_plan(small())) == IN_ORDER


def test_without_a_shower_there_are_no_shower_steps() -> None:
    made = make_plan(small(shower={"enabled": False}))
    assert ids(made) == [i for i in IN_ORDER if not i.startswith("shower")]


def test_a_plan_is_the_same_after_json() -> None:
    made = make_plan(small())
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_the_default_protocol_has_the_tilts_and_doses_of_the_paper() -> None:
    scan = {"width_px": 176, "height_px": 176, "pixel_nm": 0.9, "dwell_us": 10.0}
    made = make_plan(Protocol.model_validate({"name": "paper", "scan": scan}))
    tilts = [step.nominal_deg for step in made.steps if step.kind == "tilt"]
    assert (len(tilts), tilts[0], tilts[72], tilts[73], tilts[-1]) == (147, -70, 74, -74, 72)
    shower = sum(step.dose_e_per_A2 for step in made.steps if step.kind == "shower")
    assert shower == pytest.approx(5800, rel=0.05)  # 40 pA for 5 minutes over 360 nm
    frames = sum(step.dose_e_per_A2 for step in made.steps if step.kind == "tilt")
    assert 1_000 < frames < 15_000


def test_tracking_adds_its_dose_to_every_tilt() -> None:
    tracked, untracked = (
        make_plan(small(tracking={"enabled": on})).dose_e_per_A2 for on in (True, False)
    )
    frames = 9 * small().scan.dose_e_per_A2(70.0)
    assert tracked - untracked == pytest.approx(0.2 * frames, rel=0.25)


def test_continuous_motion_is_printed_and_saves_the_settling_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moving = PROTOCOL.replace("step_deg", 'motion = "continuous"\nstep_deg')
    path = tmp_path / "moving.toml"
    path.write_text(moving)
    assert plan.run(argparse.Namespace(protocol=str(path))) is ExitCode.OK
    assert "frame from -25° to -15° while tilting" in capsys.readouterr().out
    frame_s = small().scan.frame_time_s
    still, swept = (
        make_plan(Protocol.model_validate(tomllib.loads(p))) for p in (PROTOCOL, moving)
    )
    saved_s = sum(step.duration_s for step in still.steps if step.kind == "tilt") - 9 * frame_s
    assert still.duration_s - swept.duration_s == pytest.approx(
        saved_s, abs=11.0
    )  # the stage moves 5 degrees further


def done(*step_ids: str) -> list[Entry]:
    return [StepDone(step_id=step_id) for step_id in step_ids]


AFTER: dict[str, tuple[list[Entry], list[str]]] = {
    "nothing": ([], IN_ORDER),
    "the shower": (done("preflight", "shower-1", "shower-2"), ["preflight", *IN_ORDER[3:]]),
    "two tilts": (
        done("preflight", "shower-1", "shower-2", "A-start", "A-001", "A-002"),
        ["preflight", "A-start", *IN_ORDER[6:]],
    ),
    "series A": (done(*IN_ORDER[:10]), ["preflight", "process-A", *IN_ORDER[10:]]),
    "the flip": (done(*IN_ORDER[:11]), ["preflight", "process-A", *IN_ORDER[11:]]),
    "series B, A processed": (
        [*done(*IN_ORDER[:17]), JobEnded(job=Job.A, ok=True)],
        ["preflight", "process-B", "fuse", "report"],
    ),
    "everything": (
        [*done(*IN_ORDER), JobEnded(job=Job.A, ok=True), JobEnded(job=Job.B, ok=True)],
        ["preflight", "report"],
    ),
}


@pytest.mark.parametrize("name", AFTER)
def test_steps_left_after_an_interruption(name: str) -> None:
    entries, left = AFTER[name]
    assert [step.id for step in steps_to_do(make_plan(small()), replay(entries))] == left


# -- the commands ------------------------------------------------------------------------------


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(text)
    (tmp_path / "simulator").mkdir()
    (tmp_path / "simulator" / "demo.toml").write_text("")
    return path


def run_plan(path: Path) -> int:
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)
    return plan.run(parser.parse_args([str(path)]))


def test_plan_prints_every_step_and_the_total(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_plan(write(tmp_path, PROTOCOL)) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == IN_ORDER
    assert "19 steps" in lines[-1]
    assert "of 60000 e/Å²" in lines[-1]


def test_a_plan_beyond_the_dose_budget_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_plan(write(tmp_path, PROTOCOL + "dose_budget_e_per_A2 = 10\n")) == ExitCode.USAGE
    assert "would be refused" in capsys.readouterr().out


CHECKS = {
    "all checks pass": (PROTOCOL, ExitCode.OK, []),
    "too much dose": (PROTOCOL + "dose_budget_e_per_A2 = 10\n", ExitCode.USAGE, ["dose"]),
    "an unknown setting": (PROTOCOL + "stagge = 1\n", ExitCode.USAGE, ["protocol"]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_check_prints_every_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, code, failing = CHECKS[name]
    parser = argparse.ArgumentParser()
    check.add_arguments(parser)
    args = parser.parse_args([str(write(tmp_path, text)), "--out", str(tmp_path / "new")])
    assert check.run(args) == code
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in out if line.startswith("FAIL")] == failing
