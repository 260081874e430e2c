"""Child process of `dualtilt reproduce`: runs one experiment, which it reads from stdin.

Each line of stdout is JSON: the done part of the work, at last the outcome.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from controller.app.paper.experiments import Experiment
from controller.app.paper.run_experiment import run_experiment

SMALLEST_STEP = 0.01
"""Smallest part of the work that is reported."""


def main(source: BinaryIO, sink: BinaryIO, folder: Path) -> None:
    """Run the experiment; report its progress and write its outcome."""
    experiment = Experiment.model_validate_json(source.read())
    reported = 0.0

    def write(line: str) -> None:
        sink.write(f"{line}\n".encode())
        sink.flush()

    def report(_: str, fraction: float) -> None:
        nonlocal reported
        if reported + SMALLEST_STEP <= fraction < 1:  # done is an experiment with its outcome
            reported = fraction
            write(json.dumps(fraction))

    write(run_experiment(experiment, folder, report).model_dump_json())


if __name__ == "__main__":
    # Ctrl-C reaches every process of a terminal: the command ends this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # anything that a library prints goes to stderr, so that it cannot damage the outcome
    with os.fdopen(os.dup(1), "wb") as pipe:
        os.dup2(2, 1)
        main(sys.stdin.buffer, pipe, Path(sys.argv[1]))
