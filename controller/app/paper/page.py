"""Tables of the repeated experiments, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from controller.app.paper.expectations import COUNTED, EXPECTATIONS, Expectation, Outcomes
from controller.app.paper.experiments import PAPER_COUNTS, USUAL
from controller.app.paper.outcome import CountOutcome, Outcome
from controller.model.count_verdict import Trust

HEAD = ("experiment", "true", *COUNTED, "rms, nm")
NOT_TRUSTED = "*"
LEGEND = (
    "in brackets: recall, the share of the true particles that are found; *: not trusted; rms: "
    "distance from the true centre, of both series or of A"
)


def outcome_rows(outcomes: Outcomes) -> list[tuple[str, ...]]:
    """Return one row for each experiment: counts with recall, and the position error."""
    return [_row(outcome) for outcome in outcomes.values()]


def shares_of_the_paper(outcomes: Outcomes) -> list[tuple[str, ...]]:
    """Return the paper's counts beside ours, each as a share of the largest of its own."""
    usual = outcomes[USUAL].counts
    rows: list[tuple[str, ...]] = []
    for which in COUNTED:
        paper = PAPER_COUNTS[which]
        ours = usual.get(which)
        rows.append(
            (
                which,
                f"{paper} ({paper / PAPER_COUNTS['fused']:.1%})",
                "-" if ours is None else f"{ours.n} ({ours.score.recall:.1%} of the true ones)",
            )
        )
    return rows


def tested(outcomes: Outcomes) -> Iterator[tuple[Expectation, bool, str]]:
    """Yield each expectation whose experiments were run, whether it holds, and its figures."""
    for expectation in EXPECTATIONS:
        if not set(expectation.needs) <= set(outcomes):
            continue
        try:
            yield expectation, expectation.holds(outcomes), expectation.figures(outcomes)
        except KeyError as missing:
            yield expectation, False, f"no count of {missing.args[0]}"


def page(outcomes: Outcomes, command: str) -> str:
    """Return all tables as one Markdown page."""
    parts = [
        "# The paper, repeated on the simulator\n",
        f"Written by `{command}`.\n",
        _table(("", "paper", "here"), shares_of_the_paper(outcomes)),
        _table(HEAD, outcome_rows(outcomes)),
        f"Counts, {LEGEND}.\n",
        _table(
            ("expected", "holds", "figures"),
            [
                (expectation.says, "yes" if holds else "NO", figures)
                for expectation, holds, figures in tested(outcomes)
            ],
        ),
    ]
    return "\n".join(parts)


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


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
