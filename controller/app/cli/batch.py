"""`dualtilt batch`: process many sessions on the workers of a Dask cluster."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from controller.app.cli.processing_arguments import add_processing_arguments, chosen_settings
from controller.app.cli.reading_arguments import add_facts, at_least_one, positive, zero_or_more
from controller.common.ctrl_c import HungUpError
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from processing.batch.process_session import SessionOutcome

FOLDERS_HELP = "folder with the stacks A and B, such as a session's"
CLUSTER_HELP = (
    "workers: this machine (local, the default), a running Dask scheduler (tcp://HOST:PORT), or "
    "jobs of Slurm or PBS"
)
WORKERS_HELP = (
    "sessions at a time (default: what cores and memory of this machine allow; 4 jobs of a queue)"
)
WAIT_HELP = (
    "longest time without any worker, 0 for no limit (default: 300; no limit for jobs of a queue)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("folders", type=Path, nargs="+", metavar="FOLDER", help=FOLDERS_HELP)
    add("--cluster", default="local", metavar="local|tcp://...|slurm|pbs", help=CLUSTER_HELP)
    add("--workers", type=at_least_one, metavar="N", help=WORKERS_HELP)
    add("--cores", type=at_least_one, metavar="N", help="cores of each job (default: 4)")
    add("--memory-GB", type=positive, metavar="G", help="memory of each job (default: 16)")
    add("--again", action="store_true", help="also process sessions that are complete")
    add("--retries", type=int, default=2, metavar="N", help="retries after an error (default: 2)")
    add("--wait-s", type=zero_or_more, metavar="S", help=WAIT_HELP)
    add("--table", type=Path, metavar="FILE", help="also write the table to a CSV file")
    add_processing_arguments(parser)
    add_facts(parser)


def run(args: argparse.Namespace) -> int:
    """Process the sessions, print their table, return the exit code."""
    if find_spec("distributed") is None:
        raise UsageError(
            "batch needs the extra `cluster`: pip install -e '.[cluster]' in its source folder"
        )
    from controller.app.batch_sessions import BatchOptions, run_sessions
    from controller.app.cli.batch_progress import shown_batch
    from controller.app.cli.batch_table import print_table
    from processing.batch.table import write_table

    if args.table is not None:
        _require_writable(args.table)
    options = BatchOptions.of(args, chosen_settings(args))
    outcomes: list[SessionOutcome] = []
    interrupted = False
    try:
        with shown_batch(len(options.tasks) + len(options.failed)) as shown:
            for outcome in run_sessions(options, shown):
                outcomes.append(outcome)
                shown.ended(outcome)
    except (KeyboardInterrupt, HungUpError):
        interrupted = True
    order = {folder: place for place, folder in enumerate(options.folders)}
    outcomes.sort(key=lambda outcome: order[outcome.session])
    print_table(outcomes)
    if args.table is not None:
        write_table(args.table, outcomes)
    if interrupted:
        left = len(options.folders) - len(outcomes)
        print(f"interrupted with {left} sessions left; the same command continues")
        return ExitCode.INTERRUPTED
    return exit_code(outcomes)


def _require_writable(table: Path) -> None:
    """Refuse a table that could not be written at the end, after hours of processing."""
    try:
        with TemporaryFile(dir=table.absolute().parent):
            reason = "is a folder" if table.is_dir() else ""
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise UsageError(f"--table {table}: {reason}; nothing was processed")


def exit_code(outcomes: list[SessionOutcome]) -> ExitCode:
    """Return 5 if a session failed, else 4 if one was refused or is in use, else 0."""
    from processing.batch.process_session import State
    from processing.results import Trust

    if any(outcome.state is State.FAILED for outcome in outcomes):
        return ExitCode.PROCESSING_FAILED
    stopped = (State.REFUSED, State.IN_USE)
    if any(one.state in stopped or one.verdict is Trust.REFUSED for one in outcomes):
        return ExitCode.SAFETY
    return ExitCode.OK
