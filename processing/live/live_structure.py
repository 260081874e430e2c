"""Structure of the particles counted so far, in one line for the screen."""

from __future__ import annotations

import contextlib
import importlib

from processing.files.particles import ParticleTable
from processing.pipeline.add_structure import FAULTS
from processing.results import Count, Trust
from processing.structure.quick_headline import structure_headline

WIDEST_INTERVAL = 0.1
"""Largest half interval of a count over the count; a less certain one has no structure."""


def structure_line(table: ParticleTable, count: Count) -> str:
    """Return the structure of counted particles; empty if the count is too uncertain for one.

    A doubtful count has a doubtful structure. An analysis that fails costs no count.
    """
    state = Trust.TRUSTED if count.verdict is None else count.verdict.state
    if state is Trust.REFUSED or count.n_high - count.n_low > 2 * WIDEST_INTERVAL * count.n:
        return ""
    try:
        line = structure_headline(table.counted.centres_nm)
    except FAULTS:
        return ""
    return f"{line} ({state})" if state is Trust.DOUBTFUL else line


def load_structure_library() -> None:
    """Load the library of the analysis. It takes a second, for which no count should wait."""
    with contextlib.suppress(ImportError):  # an analysis without it has no line
        importlib.import_module("freud")
