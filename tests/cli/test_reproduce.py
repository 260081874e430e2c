"""The paper's experiments repeated: expectations that can fail, tables, one experiment for real."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli import reproduce
from controller.app.paper import run_experiment, side_by_side
from controller.app.paper.assembly_panels import write_assembly_panels
from controller.app.paper.beam_panels import BeamPanels
from controller.app.paper.expectations import EXPECTATIONS, FEWEST
from controller.app.paper.experiments import (
    BLURRED,
    MAIN,
    OTHER_SEEDS,
    PARALLEL,
    QUICK,
    QUICK_MAIN,
    SEEDS,
    USUAL,
    WHOLE,
    WITHOUT_FLAT_SIDE,
    Experiment,
)
from controller.app.paper.kept_outcomes import read_outcomes
from controller.app.paper.outcome import CountOutcome, Outcome
from controller.app.paper.page import judged, shares_of_the_paper
from controller.app.paper.side_by_side import Children, run_side_by_side
from controller.common.errors import ProcessingFailedError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.count_verdict import Trust
from controller.rehearsal.accuracy_checks import Score
from controller.report import figures
from controller.report.views import isosurface_stills
from processing.files.mrc import write_volume
from processing.progress import silent
from tests.report.particle_folders import with_volumes

TRUTH = 1000
VERSION = version("dualtilt")


def count(
    recall: float,
    by_depth: tuple[float, float, float] = (1.0, 1.0, 1.0),
    rms_nm: float = 0.1,
    high: int = TRUTH,
) -> CountOutcome:
    n = round(recall * TRUTH)
    score = Score(
        found=n, recall=recall, precision=1.0, rms_nm=(rms_nm,) * 3, recall_by_depth=by_depth
    )
    return CountOutcome(n=n, n_low=n - 2, n_high=high, verdict=Trust.TRUSTED, score=score)


USUAL_RESOLUTION_NM = {"A": 4.5, "B": 4.5, "fused": 4.4}
COARSER_NM = {"A": 4.6, "B": 4.6, "fused": 4.5}


def outcome(
    name: str,
    shrinkage: float = 0.0,
    version: str = VERSION,
    resolution_nm: dict[str, float] = USUAL_RESOLUTION_NM,
    **counts: CountOutcome,
) -> Outcome:
    usual = {
        "A": count(0.98, (0.94, 1.0, 1.0)),
        "B": count(0.95, (1.0, 1.0, 0.85)),
        "fused": count(1.0),
    }
    return Outcome(
        experiment=name,
        version=version,
        truth=TRUTH,
        counts={**usual, **counts},
        shrinkage=shrinkage,
        resolution_nm=resolution_nm,
        duration_s=1.0,
    )


AS_IN_THE_PAPER = {
    one.experiment: one
    for one in (
        *(outcome(main.usual) for main in (MAIN, QUICK_MAIN)),
        *(
            outcome(main.narrow, fused=count(1.0, rms_nm=0.2), resolution_nm=COARSER_NM)
            for main in (MAIN, QUICK_MAIN)
        ),
        outcome(MAIN.no_shower, shrinkage=0.01, fused=count(1.0, rms_nm=0.2)),
        *(outcome(main.one_series, A=count(0.985)) for main in (MAIN, QUICK_MAIN)),
        outcome(PARALLEL),
        *(outcome(name) for name in (*OTHER_SEEDS, *BLURRED)),
        *(outcome(name, fused=count(0.9)) for name in FEWEST),
        *(outcome(name, A=count(0.95)) for name in WITHOUT_FLAT_SIDE),
    )
}


def test_the_papers_results_meet_every_expectation() -> None:
    assert [one.says for one in EXPECTATIONS if not one.holds(AS_IN_THE_PAPER)] == []
    assert {need for one in EXPECTATIONS for need in one.needs} <= {
        one.name for one in (*QUICK, *WHOLE)
    }


@dataclass(frozen=True)
class Contradiction:
    name: str
    outcomes: tuple[Outcome, ...]
    says: str


LAST_SEED = tuple(OTHER_SEEDS)[-1]
HALF_OF_THE_SEEDS = tuple(SEEDS)[::2]
HALF_OF_THE_BLURRED = tuple(BLURRED)[::2]
CONTRADICTIONS = [
    Contradiction("nothing gained", (outcome(USUAL, fused=count(0.98)),), "both series together"),
    Contradiction("B finds more", (outcome(USUAL, B=count(0.99)),), "first specimen"),
    Contradiction("no exit loss", (outcome(USUAL, A=count(0.98)),), "misses particles on the side"),
    Contradiction("cured", (outcome(MAIN.narrow, A=count(1.0)),), "does not cure"),
    Contradiction("sharper", (outcome(MAIN.narrow, fused=count(1.0, rms_nm=0.05)),), "less sharp"),
    Contradiction(
        "as fine",
        (outcome(MAIN.narrow, resolution_nm=COARSER_NM | {"B": 4.5}),),
        "Fourier shell correlation",
    ),
    Contradiction("no shrinkage", (outcome(MAIN.no_shower),), "beam shower"),
    Contradiction(
        "harmless", (outcome(MAIN.no_shower, shrinkage=0.01),), "shrinkage costs exactness"
    ),
    Contradiction("one is enough", (outcome(MAIN.one_series, A=count(1.0)),), "twice the dose"),
    Contradiction("angle matters", (outcome(PARALLEL, fused=count(0.99)),), "in-plane angle"),
    Contradiction(
        "luck", tuple(outcome(name, A=count(0.93)) for name in HALF_OF_THE_SEEDS), "over all seeds"
    ),
    Contradiction(
        "luck where particles are missed",
        tuple(outcome(name, A=count(0.93)) for name in HALF_OF_THE_BLURRED),
        "where single series miss",
    ),
    Contradiction(
        "spheres, too", tuple(map(outcome, WITHOUT_FLAT_SIDE)), "the flat side is the reason"
    ),
    Contradiction("luck with both", (outcome(LAST_SEED, A=count(1.0)),), "too, both series"),
    Contradiction("few tilts are enough", (outcome(FEWEST[0]),), "breaks"),
    Contradiction("a low dose is enough", (outcome(FEWEST[1]),), "breaks"),
    Contradiction("confident, wrong", (outcome(USUAL, B=count(0.95, high=960)),), "every trusted"),
]


@pytest.mark.parametrize("case", CONTRADICTIONS, ids=lambda case: case.name)
def test_expectations_can_fail(case: Contradiction) -> None:
    outcomes = {**AS_IN_THE_PAPER, **{one.experiment: one for one in case.outcomes}}
    assert case.says in " / ".join(one.says for one in EXPECTATIONS if not one.holds(outcomes))


def test_a_refused_count_is_a_broken_one() -> None:
    refused = AS_IN_THE_PAPER[FEWEST[1]].model_copy(update={"counts": {}})
    outcomes = {**AS_IN_THE_PAPER, refused.experiment: refused}
    (shown,) = [words for one, holds, words in judged(outcomes) if "breaks" in one.says and holds]
    assert shown.endswith(f"{FEWEST[1]}: refused")


def run_verb(*words: object) -> int:
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    return reproduce.run(parser.parse_args([str(word) for word in words]))


def known(outcomes: dict[str, Outcome]) -> Callable[..., Outcome]:
    """Return a run of an experiment whose outcome is known; KeyboardInterrupt if it is not."""

    def run(_: Children, experiment: Experiment, folder: Path, report: object) -> Outcome:
        if experiment.name not in outcomes:
            raise KeyboardInterrupt
        (folder / "protocol.toml").write_text("")
        (folder / "processed").mkdir(exist_ok=True)
        (folder / "processed" / "summary.json").write_text('{"counts": {}}')
        return outcomes[experiment.name]

    return run


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, ExitCode.OK),
        ({QUICK[0].name: outcome(QUICK[0].name, fused=count(0.9))}, ExitCode.ACCURACY_MISSED),
    ],
    ids=["as in the paper", "otherwise"],
)
def test_tables_and_exit_code(
    changed: dict[str, Outcome],
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Children, "run", known({**AS_IN_THE_PAPER, **changed}))
    assert run_verb("--quick", "--out", tmp_path / "out") == code
    page = (tmp_path / "out" / "paper.md").read_text()
    assert "| paper | 6988 (98.2%) |" in page
    assert all(one.name in page for one in QUICK)
    printed = capsys.readouterr().out
    assert ("FAILS: both series" in printed) is bool(changed)
    assert "6988 (98.2%)" in printed
    assert len((tmp_path / "out" / "outcomes.jsonl").read_text().splitlines()) == len(QUICK)


@pytest.mark.parametrize(
    ("drawn", "files"),
    [
        ((USUAL, MAIN.narrow, MAIN.no_shower), ["beams.png", "beams.svg"]),
        ((USUAL, MAIN.no_shower), []),
    ],
    ids=["both beams", "one beam"],
)
def test_slices_of_both_beams_stand_above_one_another(
    drawn: tuple[str, ...], files: list[str], tmp_path: Path
) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    (results / "processed").mkdir(parents=True)
    out.mkdir()
    summary = '{"counts": {}, "diameter_nm": {"value": 6.0}}'
    (results / "processed" / "summary.json").write_text(summary)
    values = np.random.default_rng(1).random((12, 12, 12), np.float32)
    write_volume(results / "processed" / "A_sirt.mrc", values, 2.0)
    panels = BeamPanels(MAIN)
    for name in drawn:
        panels.add(name, results)
    panels.add(MAIN.narrow, tmp_path / "nothing")
    panels.write(out)
    assert sorted(path.name for path in out.iterdir()) == files


def test_isosurfaces_slices_and_particles_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "DPI", 50)
    monkeypatch.setattr(isosurface_stills, "SIDE_PX", 120)
    write_assembly_panels(with_volumes(tmp_path))
    written = {path.name for path in tmp_path.glob("*.[ps][nv]g")}
    panels = ("isosurfaces", "slices", "particles")
    assert written == {f"{panel}.{form}" for panel in panels for form in ("png", "svg")}


def test_the_papers_counts_stand_beside_those_of_each_seed() -> None:
    head, paper, *seeds = shares_of_the_paper(AS_IN_THE_PAPER)
    assert head == ("", "A", "B", "fused")
    assert paper == ("paper", "6988 (98.2%)", "6092 (85.6%)", "7116 (100.0%)")
    counts = ("980 (98.0%)", "950 (95.0%)", "1000 (100.0%)")
    titles = ["seed 2021, tilts every 3 degrees", *(f"seed {seed}" for seed in SEEDS.values())]
    assert seeds == [(title, *counts) for title in titles]


@pytest.mark.parametrize("done", [0, 1, 2], ids=["in the first", "after one", "before the last"])
def test_a_stopped_run_goes_on_in_its_folder(
    done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    names = [one.name for one in QUICK]
    before = {name: AS_IN_THE_PAPER[name] for name in names[:done]}
    monkeypatch.setenv("DUALTILT_THREADS", "1")
    monkeypatch.setattr(Children, "run", known(before))
    with pytest.raises(KeyboardInterrupt):
        run_verb("--quick", "--out", out)
    (out / "processed").mkdir(exist_ok=True)
    remaining = known({name: AS_IN_THE_PAPER[name] for name in names[done:]})
    monkeypatch.setattr(Children, "run", remaining)
    assert run_verb("--quick", "--out", out) == ExitCode.OK
    assert (f"{done} of 3 experiments kept" in capsys.readouterr().out) is bool(done)
    kept = read_outcomes(out, VERSION)
    assert kept == {name: AS_IN_THE_PAPER[name] for name in names}


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("mine.txt", "", "not empty"),
        ("outcomes.jsonl", outcome(USUAL, version="0.0.1").model_dump_json(), "version 0.0.1"),
        ("outcomes.jsonl", '{"experiment": ', "cannot be read"),
    ],
    ids=["other files", "another version", "cut off"],
)
def test_a_folder_in_use_is_refused(file: str, text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(UsageError, match=reason):
        run_verb("--out", tmp_path)


SMALL = {
    name: Experiment(
        name=name,
        width_px=48,
        simulator={"specimen": {"assembly_diameter_nm": 42.0, "packing": "fcc"}},
        step_deg=5.0,
        series_b=False,
    )
    for name in ("small", "another")
}


def test_experiments_run_side_by_side(tmp_path: Path) -> None:
    small, another = SMALL.values()
    reports: list[tuple[str, float]] = []

    def progress(stage: str, fraction: float) -> None:
        reports.append((stage, fraction))

    folders = {}
    for finished in run_side_by_side([small, another], tmp_path, small, progress):
        assert (finished.folder / "processed" / "A_sirt.mrc").exists()
        assert finished.outcome.experiment == finished.experiment.name
        folders[finished.experiment.name] = finished.folder
    assert folders["small"] == tmp_path
    assert not folders["another"].exists()
    assert reports == sorted(reports, key=lambda report: report[1])
    assert reports[-1] == ("experiments: 2 finished, 0 running", 1.0)


def test_a_process_that_ends_without_an_outcome_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(side_by_side, "python_module_command", lambda *_: command)
    small = SMALL["small"]
    with pytest.raises(ProcessingFailedError, match=r"'small': its process ended \(exit code 3\)"):
        list(run_side_by_side([small], tmp_path, small, silent))


def test_an_end_of_the_run_ends_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = tmp_path / "ended"
    wait = f"import time; time.sleep(30); open({str(ended)!r}, 'w')"
    answer = f"print({AS_IN_THE_PAPER[USUAL].model_dump_json()!r})"
    commands = iter([answer, wait])
    monkeypatch.setattr(
        side_by_side, "python_module_command", lambda *_: [sys.executable, "-c", next(commands)]
    )
    for _ in run_side_by_side(list(SMALL.values()), tmp_path, SMALL["small"], silent):
        break
    assert not ended.exists()


def test_an_experiment_is_simulated_processed_and_scored(tmp_path: Path) -> None:
    small = SMALL["small"]
    found = run_experiment.run_experiment(small, tmp_path, silent)
    assert set(found.counts) == {"A"}
    assert found.counts["A"].score.recall > 0.9
    assert found.counts["A"].n == pytest.approx(found.truth, rel=0.1)
    assert found.shrinkage is None
    assert (tmp_path / "processed" / "A_sirt.mrc").exists()
