"""Record one session, end its series as the session would, and compare with the complete series."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from controller.worker.count_schedule import TILTS_BETWEEN_COUNTS
from processing import ProcessingError, ProcessSettings, combine_series, process_series
from processing.live.more_tilts import (
    MoreTilts,
    count_so_far,
    what_more_tilts_add,
)
from processing.live.series_counter import SeriesCounter
from processing.pipeline.series_search import SeriesResult
from processing.results import Count, Trust
from processing.series import TiltSeries
from tests.ending_early.cases import Case
from tests.support.recorded import as_read

BOTH = "A and B"
"""Series of a row for both series counted together."""


@dataclass(frozen=True)
class Row:
    """One series of one session, or both series together. One line of the results file.

    Attributes
    ----------
    ended_at
        Tilts after which the series ended; those of both series together for `BOTH`.
    ended, complete
        Final count with the tilts up to the end, and with all tilts.
    live
        Live count that ended the series; None for `BOTH` and for a complete series.
    missing
        What was still missing to end the series, at its last live count.
    history
        Live counts: tilts, n, n_low, n_high, gap, and what was missing.
    """

    case: str
    order: str
    seed: int
    series: str
    planned: int
    ended_at: int
    truth: int
    ended: tuple[int, int, int, str]
    complete: tuple[int, int, int, str]
    live: tuple[int, int, int] | None
    missing: str
    history: tuple[tuple[int, int, int, int, float, str], ...]

    @property
    def saved(self) -> float:
        """Share of the dose of the series' frames that was saved."""
        return 1 - self.ended_at / self.planned

    @property
    def held(self) -> bool:
        """True if all tilts would have changed the count by no more than its interval."""
        intervals = [self.ended[1:3], *([self.live[1:3]] if self.live else [])]
        return all(low <= self.complete[0] <= high for low, high in intervals)


def silence_warnings() -> None:
    """Ignore warnings in this process; a fit without a signal has some."""
    warnings.simplefilter("ignore")


def measure(case: Case, seed: int) -> list[Row]:
    """Return the row of A; where the case has both series, also those of B and of both."""
    data = case.record(seed)
    settings, truth = ProcessSettings(controls=False), len(data.truth)
    rows: list[Row] = []
    results: dict[str, tuple[SeriesResult, SeriesResult]] = {}
    for name, raw in (("A", data.a), ("B", data.b))[: 1 + case.both]:
        series = as_read(raw, case.pixel_nm, name)
        ended_at, history, last = ended_after(series, case, settings)
        ended = process_series(first(series, ended_at), settings)
        early = ended_at < series.tilts
        complete = process_series(series, settings) if early else ended
        results[name] = ended, complete
        rows.append(
            Row(
                case.name,
                case.order,
                seed,
                name,
                series.tilts,
                ended_at,
                truth,
                facts(ended.detection.count),
                facts(complete.detection.count),
                history[-1][1:4] if early else None,
                last.missing if last is not None else "counts",
                history,
            )
        )
        # as in a session, the live counts of B use the diameter of A
        settings = settings.model_copy(update={"diameter_nm": ended.diameter.value})
    if not case.both:
        return rows
    return [*rows, fused(rows, results, ProcessSettings(controls=False))]


def fused(
    rows: list[Row],
    results: dict[str, tuple[SeriesResult, SeriesResult]],
    settings: ProcessSettings,
) -> Row:
    """Return the row of both series together."""
    counts = [
        count_of_both(a, b, settings) for a, b in zip(results["A"], results["B"], strict=True)
    ]
    return replace(
        rows[0],
        series=BOTH,
        planned=sum(row.planned for row in rows),
        ended_at=sum(row.ended_at for row in rows),
        ended=counts[0],
        complete=counts[1],
        live=None,
        missing="",
        history=(),
    )


def count_of_both(
    a: SeriesResult, b: SeriesResult, settings: ProcessSettings
) -> tuple[int, int, int, str]:
    """Return the fused count."""
    try:
        return facts(combine_series(a, b, settings).detection.count)
    except ProcessingError:
        return 0, 0, 0, Trust.REFUSED.value


def ended_after(
    series: TiltSeries, case: Case, settings: ProcessSettings
) -> tuple[int, tuple[tuple[int, int, int, int, float, str], ...], MoreTilts | None]:
    """Count a series as it grows; return the tilts after which it ends, and its live counts."""
    counter, history = SeriesCounter(settings), []
    judged: MoreTilts | None = None
    rows: list[tuple[int, int, int, int, float, str]] = []
    for tilts in range(TILTS_BETWEEN_COUNTS, series.tilts, TILTS_BETWEEN_COUNTS):
        found = counter.count(first(series, tilts))
        verdict = found.count.verdict if found is not None else None
        if found is None or verdict is None or verdict.state is Trust.REFUSED:
            history = []
            continue
        history.append(count_so_far(found, case.tilts_deg))
        judged = what_more_tilts_add(history, series.tilts - tilts)
        missing = judged.missing if judged is not None else "counts"
        rows.append((tilts, *facts(found.count)[:3], round(history[-1].gap, 2), missing))
        if judged is not None and judged.enough:
            return tilts, tuple(rows), judged
    return series.tilts, tuple(rows), judged


def first(series: TiltSeries, tilts: int) -> TiltSeries:
    """Return the first tilts of a series."""
    return replace(
        series,
        images=series.images[:tilts],
        angles_deg=series.angles_deg[:tilts],
        excluded=series.excluded[:tilts],
    )


def facts(count: Count) -> tuple[int, int, int, str]:
    """Return a count, its interval and its verdict."""
    state = count.verdict.state if count.verdict is not None else Trust.TRUSTED
    return count.n, count.n_low, count.n_high, state.value
