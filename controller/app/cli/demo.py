"""`dualtilt demo`: a whole session on the simulator, compared with its truth at the end."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.exit_codes import ExitCode
from controller.model.count_verdict import Trust, interval_in_words

if TYPE_CHECKING:
    from controller.rehearsal.accuracy_checks import Accuracy
    from controller.service.session_status import SessionStatus

FAULTS_HELP = "faults to rehearse: lists in config/faults (a wrong name shows them), or files"
CONTROLS_HELP = "also count the volumes of all fusion rules (default: of the mean alone)"
GRID_HELP = "six assemblies on one grid and one flip, which goes wrong the first time"
OUT_HELP = "new or empty folder for the session (default: ./demo-DATE-TIME)"
HEADINGS = ("", "count", "recall", "precision", "rms x/y/z, nm", "A's exit", "B's exit")
RESULTS = ("report.html", "processed/particles_fused.csv", "processed/fused.mrc")
MEAN_ALONE, EVERY_RULE = 'controls = ["mean"]', "controls = true"
"""Lines of the demo's protocol without and with `--controls`."""
LEAVE_AFTER_S = 2.0
"""Time that the screen shows the last status before the tables are printed (s)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("--headless", action="store_true", help="text instead of the screen")
    add("--controls", action="store_true", help=CONTROLS_HELP)
    add("--faults", nargs="+", default=[], metavar="LIST", help=FAULTS_HELP)
    add("--grid", action="store_true", help=GRID_HELP)
    add("--out", type=Path, metavar="DIR", help=OUT_HELP)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 only if the fused result passes every accuracy check."""
    from controller.app.new_session import new_session
    from controller.app.profiles import find_faults, find_profile
    from controller.app.start_session import run_new
    from controller.rehearsal.accuracy_checks import failed_checks, read_accuracy
    from controller.service.status_file import last_status

    faults = [find_faults(name) for name in args.faults]
    if args.grid:
        from controller.app.cli.demo_grid import run_demo_grid

        return run_demo_grid(args.out, faults, headless=args.headless)
    folder = new_session(find_profile("demo"), args.out, faults)
    if args.controls:
        _count_every_rule(folder.protocol)
    print(f"session in {folder.path}", flush=True)
    exit_code = run_new(
        folder, bridge=None, headless=args.headless, leave_when_ended_s=LEAVE_AFTER_S
    )
    status = last_status(folder.path)
    if status is None or not status.ended or exit_code != ExitCode.OK:
        return exit_code  # detached from a running session, or no result
    accuracy = read_accuracy(folder.path / "accuracy.json")
    _show_results(folder.path)
    _show(accuracy)
    _show_count(status)
    misses = failed_checks(accuracy)
    for miss in misses:
        print(f"missed: {miss}")
    return ExitCode.ACCURACY_MISSED if misses else ExitCode.OK


def _count_every_rule(protocol: Path) -> None:
    text = protocol.read_text(encoding="utf-8").replace(MEAN_ALONE, EVERY_RULE)
    protocol.write_text(text, encoding="utf-8")


def _show(accuracy: Accuracy) -> None:
    from rich.console import Console
    from rich.table import Table

    from controller.rehearsal.accuracy_checks import TABLES

    table = Table(
        title=f"{accuracy.n_truth} particles; found within {accuracy.tolerance_nm:.1f} nm",
        caption="A's exit, B's exit: recall in the third where the beam of A or B leaves",
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in TABLES:
        score = accuracy.tables.get(name)
        if score is None:
            continue
        bottom, _, top = score.recall_by_depth
        rms = "/".join(f"{axis:.2f}" for axis in score.rms_nm) if score.rms_nm else "-"
        table.add_row(
            name.replace("-", "-\n"),  # the table fits into 80 columns
            str(score.found),
            f"{score.recall:.4f}",
            f"{score.precision:.4f}",
            rms,
            f"{bottom:.4f}",
            f"{top:.4f}",
        )
    Console().print(table)


def _show_results(folder: Path) -> None:
    """Print the paths of the main results."""
    for name in RESULTS:
        print(folder / name)


def _show_count(status: SessionStatus) -> None:
    fused = status.counts.get("fused")
    if fused is not None:
        latest, verdict = fused.latest, fused.latest.verdict
        trust = Trust.TRUSTED if verdict is None else verdict.state
        interval = interval_in_words(trust, latest.n_low, latest.n_high)
        print(f"{latest.n} particles in both series together, {interval}")
        for reason in () if verdict is None else verdict.reasons:
            print(f"{trust}: {reason}")
