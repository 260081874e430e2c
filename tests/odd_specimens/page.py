"""Write the results as a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from tests.odd_specimens.cases import CASES, FUSED, SINGLE, SPARSE, Case
from tests.odd_specimens.measure import Outcome, misses

HEAD = """# Odd specimens

Written by `make odd-specimens` (`tests/odd_specimens`). Each row adds one fault to simulated tilt
series and compares the particles found with the true ones: after one rigid fit, they are matched
one to one within 1.5 nm for particles of 6.3 nm. Series of assemblies have 73 tilts in A and 74 in
B, in steps of 2 degrees. rms is the largest of the three axes. The entrance of A is the upper two
thirds of the height, where its beam enters; the value is the lower recall of the two. Where A
alone finds less than 99 % of the lower third, its count must be doubtful.

Goals: F1 of both series at least 0.999 with one fault and 0.998 with all; rms at most 0.25 nm; the
interval holds the truth; F1 of sparse specimens at least 0.99; recall at the entrance of A at least
0.99. `python -m tests.odd_specimens --size 165` measures the size of the paper.
"""
COLUMNS = (
    "| row | particles | F1 | rms, nm | count | interval | verdict | F1 of A | entrance of A "
    "| exit of A | verdict on A | CPU, s | misses |"
)


def line(case: Case, outcome: Outcome) -> str:
    """Format one result as a line for the terminal."""
    tables = "; ".join(
        f"{name} F1 {t.f1:.4f} rms {_rms(t.rms_nm)} {t.n} ({t.n_low} to {t.n_high}) "
        f"{'/'.join(f'{part:.3f}' for part in t.recall_by_depth)} {t.verdict} {list(t.reasons)}"
        for name, t in outcome.tables.items()
    )
    missed = ", ".join(misses(case, outcome))
    return (
        f"{outcome.case} [{outcome.conditions}]: {outcome.truth} true; {tables} "
        f"{outcome.refused} {list(outcome.warnings)}; {outcome.cpu_s:.0f} s CPU; "
        f"{'MISSES ' + missed if missed else 'reached'}"
    )


def page(outcomes: Sequence[Outcome]) -> str:
    """Format all results: one table for each set of conditions."""
    parts = [HEAD]
    for conditions in dict.fromkeys(outcome.conditions for outcome in outcomes):
        known = {one.case: one for one in outcomes if one.conditions == conditions}
        measured = [case for case in CASES if case.name in known]
        reached = sum(not misses(case, known[case.name]) for case in measured)
        left = [case.name for case in CASES if case.name not in known]
        counts = f"{len(measured)} of {len(CASES)} rows measured; {reached} reach all goals."
        parts += [f"## {conditions}", "", counts, ""]
        parts += [f"Not measured: {', '.join(left)}.", ""] * bool(left)
        for title, group in (("Assemblies", FUSED), ("Sparse", SPARSE), ("One series", SINGLE)):
            rows = [_row(case, known[case.name]) for case in group if case.name in known]
            if rows:
                parts += [f"{title}:", "", COLUMNS, "|---" * 13 + "|", *rows, ""]
    return "\n".join(parts)


def _row(case: Case, outcome: Outcome) -> str:
    missed = ", ".join(misses(case, outcome))
    if outcome.refused:
        cells = ["–"] * 9
        missed = f"refused: {outcome.refused}"
    else:
        last, single = outcome.tables[list(outcome.tables)[-1]], outcome.tables["A"]
        cells = [
            f"{last.f1:.4f}",
            _rms(last.rms_nm),
            str(last.n),
            f"{last.n_low} to {last.n_high}",
            last.verdict,
            f"{single.f1:.4f}",
            f"{min(single.recall_by_depth[1:]):.3f}",
            f"{single.recall_by_depth[0]:.3f}",
            single.verdict + "".join(f"; {reason}" for reason in single.reasons[:1]),
        ]
    entries = [outcome.case, str(outcome.truth), *cells, f"{outcome.cpu_s:.0f}", missed]
    return f"| {' | '.join(entries)} |"


def _rms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
