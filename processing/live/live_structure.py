"""Structure of the particles counted so far, in one line for the screen."""

from __future__ import annotations

from processing.files.particles import ParticleTable
from processing.pipeline.add_structure import FAULTS
from processing.results import Count, Trust
from processing.structure.analyse import analyse_structure

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
        line = analyse_structure(table.counted.centres_nm).summary.headline()
    except FAULTS:
        return ""
    return f"{line} ({state})" if state is Trust.DOUBTFUL else line
