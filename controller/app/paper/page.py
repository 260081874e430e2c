"""Tables of the repeated experiments, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from controller.app.paper.expectations import COUNTED, EXPECTATIONS, Expectation, Outcomes
from controller.app.paper.experiments import (
    FIRST_SEED,
    PAPER_COUNTS,
    QUICK_MAIN,
    QUICK_STEP_DEG,
    SEEDS,
)
from controller.app.paper.outcome import CountOutcome, Outcome
from controller.model.count_verdict import Trust

HEAD = ("experiment", "true", *COUNTED, "rms, nm")
NOT_TRUSTED = "*"
SHARES = (
    "the paper's counts as shares of its largest, ours with the share of the true particles that "
    "are found"
)
LEGEND = (
    "in brackets: recall, the share of the true particles that are found; *: not trusted; rms: "
    "distance from the true centre, of both series or of A"
)


def outcome_rows(outcomes: Outcomes) -> list[tuple[str, ...]]:
    """Return a head, and a row for each experiment: counts with recall, and the position error."""
    return [HEAD, *(_row(outcome) for outcome in outcomes.values())]


def shares_of_the_paper(outcomes: Outcomes) -> list[tuple[str, ...]]:
    """Return a head, a row for the counts of the paper, and one for each seed here."""
    most = PAPER_COUNTS["fused"]
    paper = (f"{PAPER_COUNTS[which]} ({PAPER_COUNTS[which] / most:.1%})" for which in COUNTED)
    rows: list[tuple[str, ...]] = [("", *COUNTED), ("paper", *paper)]
    quick = f"seed {FIRST_SEED}, tilts every {QUICK_STEP_DEG:g} degrees"
    titles = {QUICK_MAIN.usual: quick, **{name: f"seed {seed}" for name, seed in SEEDS.items()}}
    for name, title in titles.items():
        if name in outcomes:
            ours = (_share(outcomes[name], which) for which in COUNTED)
            rows.append((title, *ours))
    return rows


def judged(outcomes: Outcomes) -> Iterator[tuple[Expectation, bool, str]]:
    """Yield each expectation whose experiments were run, whether it holds, and its figures."""
    for expectation in EXPECTATIONS:
        if not set(expectation.needs) <= set(outcomes):
            continue
        try:
            yield expectation, expectation.holds(outcomes), expectation.figures(outcomes)
        except KeyError as missing:
            yield expectation, False, f"no count or resolution of {missing.args[0]}"


def page(outcomes: Outcomes, command: str) -> str:
    """Return all tables as one Markdown page."""
    parts = [
        "# The paper, repeated on the simulator\n",
        f"Written by `{command}`.\n",
        _table(shares_of_the_paper(outcomes)),
        f"{SHARES[0].upper()}{SHARES[1:]}.\n",
        _table(outcome_rows(outcomes)),
        f"Counts, {LEGEND}.\n",
        _table(
            [
                ("expected", "holds", "figures"),
                *(
                    (expectation.says, "yes" if holds else "NO", figures)
                    for expectation, holds, figures in judged(outcomes)
                ),
            ]
        ),
    ]
    return "\n".join(parts)


def _share(outcome: Outcome, which: str) -> str:
    count = outcome.counts.get(which)
    return "-" if count is None else f"{count.n} ({count.score.recall:.1%})"


def _row(outcome: Outcome) -> tuple[str, ...]:
    counts = outcome.counts
    best = counts.get("fused") or counts.get("A")
    rms = outcome.failure or "-"
    if best is not None and best.score.rms_nm is not None:
        rms = f"{sum(axis**2 for axis in best.score.rms_nm) ** 0.5:.2f}"
    cells = (_cell(counts, which) for which in COUNTED)
    return (outcome.experiment, str(outcome.truth), *cells, rms)


def _cell(counts: Mapping[str, CountOutcome], which: str) -> str:
    count = counts.get(which)
    if count is None:
        return "-"
    mark = "" if count.verdict is Trust.TRUSTED else NOT_TRUSTED
    return f"{count.n}{mark} ({count.score.recall:.4f})"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
