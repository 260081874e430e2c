"""The tables of docs/limits.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from processing.results import Trust
from tests.accuracy.limits.cases import DOSES
from tests.accuracy.limits.measure import Given, Row

MARK = "<!-- measured -->\n"
"""Line of the page after which the measured tables follow."""
RIGHT_F1 = 0.99
"""F1 below which a trusted count is wrong, whatever its interval."""
SERIES = {"One series": ("A", "B"), "Two series": ("A and B",)}


def with_tables(page: str, rows: Sequence[Row]) -> str:
    """Return the page with the tables of all rows measured."""
    return page.split(MARK)[0] + MARK + tables(rows)


def tables(rows: Sequence[Row]) -> str:
    """Return all tables: counts that are trusted and wrong first."""
    product = [row for row in rows if row.given == Given.NOTHING]
    sessions = len({row.key for row in product})
    parts = [f"{sessions} sessions, {len(product)} counts.\n", "### Trusted and wrong\n"]
    wrong = [row for row in product if is_trusted_and_wrong(row)]
    parts += [f"- {line}\n" for line in map(named, wrong)] or ["None.\n"]
    for title, names in SERIES.items():
        parts.append(f"\n### {title}\n")
        for specimen in sorted({row.specimen for row in product}):
            own = [row for row in product if row.specimen == specimen and row.series in names]
            parts += ["", *_map(own, specimen)]
    controlled = {row.key for row in rows if row.given != Given.NOTHING}
    if controlled:
        compared = [row for row in rows if row.key in controlled]
        parts += ["\n### Against the truth\n", "", *_controls(compared)]
    return "\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def is_trusted_and_wrong(row: Row) -> bool:
    """Return true if the count is trusted, but its interval or its particles are wrong."""
    return row.verdict is Trust.TRUSTED and (not row.holds or row.f1 < RIGHT_F1)


def cell(rows: Sequence[Row]) -> str:
    """Return lowest F1, intervals that hold, calibration and verdicts of some counts."""
    made = [row for row in rows if row.verdict is not Trust.REFUSED]
    verdicts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{verdicts[state]} {state}" for state in Trust if verdicts[state])
    if not made:
        return said
    holding = sum(row.holds for row in made)
    lowest = min(row.f1 for row in made)
    return f"{lowest:.4f}; {holding} of {len(made)}; {100 * overconfidence(made):+.1f}; {said}"


def overconfidence(rows: Sequence[Row]) -> float:
    """Return the mean confidence minus the share of real particles."""
    tenths = [tenth for row in rows for tenth in row.by_tenth]
    particles, confidence, real = (sum(each) for each in zip(*tenths, strict=True))
    return float(confidence - real) / max(1, particles)


def named(row: Row) -> str:
    """Return the case, the series, the count and its F1 in one line."""
    return (
        f"{row.packing}, {row.size_nm:g} nm, {row.step_deg:g} degrees, dose {row.dose}, pixels of "
        f"{row.pixel_nm:g} nm, seed {row.seed}, {row.series}: {row.found} ({row.n_low} to "
        f"{row.n_high}) of {row.truth}, F1 {row.f1:.4f}"
    )


def _map(rows: Sequence[Row], specimen: str) -> list[str]:
    doses = [dose for dose in DOSES if any(row.dose == dose for row in rows)]
    lines = [
        f"| {specimen} | " + " | ".join(f"dose {dose}" for dose in doses) + " |",
        "|---" * (len(doses) + 1) + "|",
    ]
    for step_deg in sorted({row.step_deg for row in rows}):
        cells = [
            [row for row in rows if row.step_deg == step_deg and row.dose == dose] for dose in doses
        ]
        texts = [cell(each) if each else "–" for each in cells]
        lines.append(f"| {step_deg:g} degrees | " + " | ".join(texts) + " |")
    return lines


def _controls(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| case | series | " + " | ".join(f"given {given.value}" for given in Given) + " |",
        "|---" * (len(Given) + 2) + "|",
    ]
    conditions = sorted({(row.specimen, row.step_deg, row.dose) for row in rows}, key=_place)
    for specimen, step_deg, dose in conditions:
        for names in SERIES.values():
            here = [
                row
                for row in rows
                if (row.specimen, row.step_deg, row.dose) == (specimen, step_deg, dose)
                and row.series in names
            ]
            texts = [_mean_f1([row for row in here if row.given == given]) for given in Given]
            lines.append(
                f"| {specimen}, {step_deg:g} degrees, dose {dose} | {' or '.join(names)} | "
                + " | ".join(texts)
                + " |"
            )
    return lines


def _place(condition: tuple[str, float, str]) -> tuple[str, float, float]:
    specimen, step_deg, dose = condition
    return specimen, step_deg, -DOSES[dose]


def _mean_f1(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    mean, lowest = sum(row.f1 for row in rows) / len(rows), min(row.f1 for row in rows)
    return f"{mean:.4f} ({lowest:.4f}), n = {len(rows)}"
