"""The verb `dualtilt batch` in this process, and the rows of its table."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from controller.app.cli import batch


def run_verb(*arguments: object) -> int:
    """Run the verb; return its exit code."""
    parser = argparse.ArgumentParser()
    batch.add_arguments(parser)
    return batch.run(parser.parse_args([str(argument) for argument in arguments]))


def rows_of(table: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV table."""
    with table.open() as file:
        return list(csv.DictReader(file))
