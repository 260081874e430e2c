"""Parts of the panels: lines, bars, checks, jobs and counts."""

from __future__ import annotations

from textwrap import wrap

from rich.text import Text

from controller.model.base import Which
from controller.model.events import Checked, ProcessingProgressed
from controller.model.processing_jobs import JobName
from controller.service import status_text
from controller.service.session_status import RESIDUAL_LIMIT_PX, CountStatus, SessionStatus
from controller.ui.colours import BAD, GOOD
from controller.ui.tui.layout import SIDE_CELLS

Lines = list[Text]
Parts = list[str | tuple[str, str]]
"""Pieces of a line: plain text, or text with its style."""
BAR_CELLS = 12
COUNT_NAMES: tuple[tuple[Which, str], ...] = (
    ("A", "A alone"),
    ("B", "B alone"),
    ("mean", "mean"),
    ("fused", "fused"),
)
"""Rows of the table of counts."""


def line(*parts: str | tuple[str, str]) -> Text:
    """Return one line of text; an ellipsis replaces what does not fit."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def check_lines(status: SessionStatus) -> Lines:
    """Return failed checks first, in full, then the good ones, one line each."""
    failed = [check for check in status.checks if not check.ok]
    good = [check for check in status.checks if check.ok]
    return [
        *(row for check in failed for row in _failed_check_lines(check)),
        *(line(("✓ ", GOOD), (f"{check.name:<12} ", "bold"), check.detail) for check in good),
    ]


def _failed_check_lines(check: Checked) -> Lines:
    first, *rest = wrap(f"{check.name}: {check.detail}", SIDE_CELLS - 4)
    heading = line(("✗", BAD), f" {first}")
    heading.stylize("bold", 2, 2 + len(check.name))
    return [heading, *(line(f"  {part}") for part in rest)]


def job_lines(status: SessionStatus) -> Lines:
    """Return one line per running job, without the live reconstructions."""
    return [
        _job_line(job, progress) for job, progress in status.processing.items() if not job.is_live
    ]


def _job_line(job: JobName, progress: ProcessingProgressed) -> Text:
    """Return name, stage, bar and percent of a job; a long stage leaves a short bar."""
    name, percent = f"{job}: ", f" {progress.fraction:.0%}"
    room = SIDE_CELLS - 3 - len(name) - len(progress.stage) - len(percent)
    shown = f" {bar(progress.fraction, min(room, BAR_CELLS))}" if room > 0 else ""
    return line(name, (progress.stage, "bold"), f"{shown}{percent}")


def count_parts(status: SessionStatus, name: Which) -> Parts:
    """Return a count with its interval and the mean diameter of the particles."""
    known = status.counts.get(name)
    if known is None:
        return ["not counted yet"]
    diameter = f"   d {known.diameter_nm:.1f} nm" if known.diameter_nm else ""
    final = "" if known.live else " final"
    return [(status_text.count_so_far(known), "bold"), final, diameter]


def structure_lines(status: SessionStatus, *names: Which) -> Lines:
    """Return the structure of the first of these volumes that has one; at most two lines."""
    known = (status.counts[name].structure for name in names if name in status.counts)
    return [line(part) for part in wrap(next(filter(None, known), ""), SIDE_CELLS - 4)[:2]]


def count_table(status: SessionStatus) -> Lines:
    """Return the counts of A alone, B alone and both as a table."""
    rows = [line((f"{'particles':<10}{'n':>16}   d/nm", "dim"))]
    for which, label in COUNT_NAMES:
        known = status.counts.get(which)
        if known is not None:
            rows.append(_count_row(label, known))
    return [*rows, *structure_lines(status, "fused", "A")]


def residual_lines(status: SessionStatus) -> Lines:
    """Return one line with the residuals of the final alignments; none before the first."""
    parts: Parts = ["final residual"]
    for name, series in status.series.items():
        if (final_px := series.final_residual_px) is not None:
            good = verdict_style(final_px <= RESIDUAL_LIMIT_PX)
            parts += [f"  {name} ", (f"{final_px:.2g}", good), " px"]
    return [line(*parts)] if len(parts) > 1 else []


def _count_row(label: str, known: CountStatus) -> Text:
    diameter = f"{known.diameter_nm:.2f}" if known.diameter_nm else "–"
    live = " live" if known.live else ""
    return line(
        f"{label:<10}", (f"{status_text.count_so_far(known):>16}", "bold"), f"   {diameter}{live}"
    )


def bar(fraction: float, cells: int = BAR_CELLS) -> str:
    """Return a bar in steps of an eighth of a cell."""
    eighths = round(8 * cells * min(max(fraction, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    part = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + part).ljust(cells, "·")


def verdict_style(good: bool) -> str:
    """Return the style of a good or bad verdict."""
    return GOOD if good else BAD
