"""Structure of the assembly among the results. Its failure never costs the count."""

from __future__ import annotations

from pathlib import Path

from processing.errors import ProcessingError, ResultRefusedError
from processing.files.particles import read_counted
from processing.results import Summary
from processing.structure.run import OWN_FACTS, StructureOptions, analyse_results, remove_structure
from processing.structure_results import Structure

FAULTS = (ProcessingError, ArithmeticError, ImportError, MemoryError, RuntimeError, ValueError)
"""Errors of the analysis that become a warning."""


def with_structure(folder: Path, summary: Summary) -> Summary:
    """Analyse the particles in a folder of results; return the summary with their structure.

    Those of both series are analysed, or those of A if there is no B. While B waits for its fusion,
    and where the count is refused, there is no structure.
    """
    remove_structure(folder)
    if "B" in summary.series and summary.counts.fused is None:
        return summary
    try:
        structure = analyse_summarised(folder, summary)
    except ResultRefusedError:
        return summary
    except FAULTS as error:
        line = f"structure: not analysed: {str(error).splitlines()[0]}"
        return summary.model_copy(update={"warnings": [*summary.warnings, line]})
    return summary.model_copy(update={"structure": structure})


def analyse_summarised(
    folder: Path, summary: Summary, options: StructureOptions = OWN_FACTS
) -> Structure:
    """Analyse the final particles of a folder of results; raise as `analyse_results` does.

    A table with fewer particles than were counted raises, too.
    """
    fused = summary.counts.fused
    source, count = ("A", summary.counts.A) if fused is None else ("fused", fused)
    if not count.is_refused:
        read_counted(folder / f"particles_{source}.csv", count.n)
    return analyse_results(folder, source, summary.verdict, summary.registration, options)
