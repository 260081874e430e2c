"""Result of one row: its series are processed and the particles compared with the truth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from processing import ProcessingError, ProcessSettings, combine_series, process_series
from processing.results import Count, Trust, Verdict
from tests.odd_specimens.cases import Case, Conditions
from tests.odd_specimens.score import Match, score

RMS_GOAL_NM, SINGLE_GOAL = 0.25, 0.99


@dataclass(frozen=True)
class Table:
    """Score and count of one table of particles."""

    f1: float
    rms_nm: float | None
    """Largest of the three axes, scaled to particles of 6.3 nm."""
    recall_by_depth: tuple[float, float, float]
    """Bottom (where the beam leaves in A), middle, top."""
    n: int
    n_low: int
    n_high: int
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """One line of the results file."""

    case: str
    conditions: str
    truth: int
    tables: dict[str, Table] = field(default_factory=dict)
    refused: str = ""
    warnings: tuple[str, ...] = ()
    cpu_s: float = 0.0


def measure(case: Case, conditions: Conditions, label: str) -> Outcome:
    """Record one row, process it and score its tables."""
    recorded = case.record(conditions)
    settings = ProcessSettings(diameter_nm=conditions.diameter_nm if case.f1_goal else None)
    begin = time.process_time()
    centres, counts, warnings, refused = {}, {}, [], ""
    try:
        results = [process_series(one, settings) for one in recorded.series]
        for name, result in zip("AB", results, strict=False):
            warnings += result.warnings
            counts[name] = result.detection.count
        centres["A"] = results[0].detection.table.centres_nm
        if len(results) == 2:
            fused = combine_series(results[0], results[1], settings)
            centres |= {"B": fused.table_b.centres_nm, "fused": fused.detection.table.centres_nm}
            counts |= {"A": fused.count_a, "B": fused.count_b, "fused": fused.detection.count}
            warnings += fused.warnings
    except ProcessingError as error:
        refused = str(error)
    matches = score(recorded.truth, centres)
    return Outcome(
        case.name,
        label,
        len(recorded.truth),
        {name: _table(match, counts[name]) for name, match in matches.items()},
        refused,
        tuple(warnings),
        time.process_time() - begin,
    )


def misses(case: Case, outcome: Outcome) -> list[str]:
    """Return what the row does not reach; nothing if it reaches all."""
    if outcome.refused:
        return ["refused"]
    missed = []
    last = outcome.tables[list(outcome.tables)[-1]]
    if case.f1_goal is not None:
        if last.f1 < case.f1_goal:
            missed.append("F1")
        if last.rms_nm is None or last.rms_nm > RMS_GOAL_NM:
            missed.append("rms")
        if not last.n_low <= outcome.truth <= last.n_high:
            missed.append("interval")
    single = outcome.tables["A"]
    bottom, *entrance = single.recall_by_depth
    if min(entrance) < SINGLE_GOAL:
        missed.append("entrance of A")
    if bottom < SINGLE_GOAL and single.verdict == Trust.TRUSTED:
        missed.append("A trusted")
    return missed


def _table(match: Match, count: Count) -> Table:
    verdict = count.verdict or Verdict(state=Trust.TRUSTED)
    return Table(
        match.f1,
        match.rms,
        match.recall_by_depth,
        count.n,
        count.n_low,
        count.n_high,
        verdict.state.value,
        tuple(verdict.reasons),
    )
