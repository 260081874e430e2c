"""Progress of long work: a bar in a terminal, else one line per stage."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

EXPLAINED = {
    "SIRT": "iterative reconstruction (SIRT)",
    "SSR": "reconstruction from equal spheres (SSR)",
    "FBP": "filtered back-projection (FBP)",
    "projection matching": "projection matching (images to re-projections)",
    "fusion": "fusion of the volumes of A and B",
    "resampling B": "resampling B in A's frame",
}
"""Longer names of stages, shown where they first appear."""

if TYPE_CHECKING:
    from processing.progress import Progress


@contextlib.contextmanager
def shown_progress() -> Iterator[Progress]:
    """Give a callback (stage, fraction) that shows the progress on stderr."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<47}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda stage, fraction: bars.update(
            task, description=EXPLAINED.get(stage, stage), completed=fraction
        )


def _lines() -> Progress:
    latest, unexplained = "", dict(EXPLAINED)

    def report(stage: str, fraction: float) -> None:
        nonlocal latest
        if stage != latest:
            latest = stage
            print(f"{fraction:4.0%} {unexplained.pop(stage, stage)}", file=sys.stderr, flush=True)

    return report
