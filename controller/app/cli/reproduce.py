"""`dualtilt reproduce`: the paper's experiments on the simulator, each with an expectation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.cli.output_folder import empty_folder
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.app.paper.beam_panels import BeamPanels
    from controller.app.paper.experiments import Experiment
    from controller.app.paper.outcome import Outcome

QUICK_HELP = "three of the main experiments, with tilts every 3 degrees: a tenth of the time"
OUT_HELP = (
    "folder for the tables and the volumes of the first experiment; a run that was stopped goes on "
    "in its folder"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--quick", action="store_true", help=QUICK_HELP)
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help=OUT_HELP)


def run(args: argparse.Namespace) -> int:
    """Run the experiments, print and write the tables; 0 only if every expectation holds.

    Experiments whose outcomes the folder holds are not run again.
    """
    from controller.app.paper.assembly_panels import write_assembly_panels
    from controller.app.paper.beam_panels import BeamPanels
    from controller.app.paper.experiments import MAIN, QUICK, QUICK_MAIN, WHOLE
    from controller.app.paper.page import (
        LEGEND,
        SHARES,
        judged,
        outcome_rows,
        page,
        shares_of_the_paper,
    )
    from controller.common.atomic import replace_text
    from controller.report.write import write_report

    out = args.out
    experiments, main = (QUICK, QUICK_MAIN) if args.quick else (WHOLE, MAIN)
    outcomes = _outcomes(experiments, BeamPanels(main), out)
    _print_table(shares_of_the_paper(outcomes))
    print(SHARES)
    _print_table(outcome_rows(outcomes))
    print(LEGEND)
    failed = False
    for expectation, holds, figures in judged(outcomes):
        failed |= not holds
        print(f"{'holds' if holds else 'FAILS'}: {expectation.says}; {figures}")
    command = f"dualtilt reproduce{' --quick' if args.quick else ''}"
    replace_text(out / "paper.md", page(outcomes, command))
    write_assembly_panels(out)
    print((out / "paper.md").resolve())
    print(write_report(out).resolve())
    return ExitCode.ACCURACY_MISSED if failed else ExitCode.OK


def _outcomes(
    experiments: Sequence[Experiment], panels: BeamPanels, out: Path
) -> dict[str, Outcome]:
    """Run the experiments; the results of the first stay in `out`, those of the others go."""
    from importlib.metadata import version

    from controller.app.cli.terminal_progress import shown_progress
    from controller.app.paper.kept_outcomes import FILE, read_outcomes, write_outcomes
    from controller.app.paper.side_by_side import run_side_by_side

    if not (out / FILE).is_file():
        write_outcomes(empty_folder(out), {})
    outcomes = read_outcomes(out, version("dualtilt"))
    first = experiments[0]
    if first.name in outcomes:
        panels.add(first.name, out)
    remaining = [each for each in experiments if each.name not in outcomes]
    if kept := len(experiments) - len(remaining):
        print(f"{kept} of {len(experiments)} experiments kept", flush=True)
    with shown_progress() as progress:
        for finished in run_side_by_side(remaining, out, first, progress):
            outcomes[finished.experiment.name] = finished.outcome
            write_outcomes(out, outcomes)
            panels.add(finished.experiment.name, finished.folder)
            panels.write(out)
            done = sum(each.name in outcomes for each in experiments)
            print(f"{done} of {len(experiments)}: {finished.experiment.name}", flush=True)
    return {each.name: outcomes[each.name] for each in experiments}


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    head, *body = rows
    table = Table(*head)
    for row in body:
        table.add_row(*row)
    Console().print(table)
