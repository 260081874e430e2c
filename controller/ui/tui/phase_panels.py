"""Numbers beside the image, by phase: lines made from the status."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from rich.text import Text

from controller.model.base import SeriesName
from controller.model.events import Advised, OperatorState, Phase, State
from controller.model.frames import FrameVerdict
from controller.service import event_text, status_text
from controller.service.residual_verdict import (
    IN_A_ROW,
    fits_badly,
    high_in_a_row,
    too_early,
)
from controller.service.session_status import (
    RESIDUAL_LIMIT_PX,
    SeriesStatus,
    SessionStatus,
    TiltStatus,
)
from controller.ui.colours import BAD, WARNING
from controller.ui.tui.layout import SIDE_CELLS
from controller.ui.tui.panel_parts import (
    Lines,
    Parts,
    bar,
    check_lines,
    count_parts,
    count_table,
    job_lines,
    line,
    residual_lines,
    structure_lines,
    verdict_style,
)

ADVICE_ROWS = 4
"""Largest number of rows of advice: two plots still fit at 80 x 24. The log shows all of it."""
SHORT_REASON = 40
"""Longest reason (characters) that the state line shows in full."""


def panel_lines(status: SessionStatus) -> Lines:
    """Return the lines of the current phase."""
    phase = status.phase
    if phase is None:
        return [Text("waiting for the session …")]
    return [*_pause_reason(status), *_PANELS[phase](status)]


def _pause_reason(status: SessionStatus) -> Lines:
    """Return a long reason of a pause in full: its end says what to do."""
    if status.state is not State.PAUSED or len(status.reason) <= SHORT_REASON:
        return []
    return [line((part, WARNING)) for part in wrap(f"‖ {status.reason}", SIDE_CELLS - 4)]


def _preflight(status: SessionStatus) -> Lines:
    series = [len(status.series[name].planned_tilts_deg) for name in status.series]
    failed, n = sum(not check.ok for check in status.checks), len(status.checks)
    return [
        line(
            (" + ".join(map(str, series)), "bold"),
            " tilts   ",
            (status_text.duration(status.planned_s), "bold"),
        ),
        line(
            "dose planned ",
            (status_text.kilo_dose(status.planned_dose_e_per_A2), "bold"),
            f" of {status_text.kilo_dose(status.dose_budget_e_per_A2)} ke/Å² allowed",
        ),
        line(status_text.beam(status)),
        line((f"✗ {failed} of {n} checks failed", BAD))
        if failed
        else line(f"all {n} checks passed"),
        *check_lines(status),
    ]


def _shower(status: SessionStatus) -> Lines:
    if not status.showers:
        return [line(status_text.beam(status)), line("dose ", (status_text.dose(status), "bold"))]
    newest = status.showers[-1]
    known = newest.angle_planned_s > 0.0
    angle_left_s = max(0.0, newest.angle_planned_s - newest.angle_elapsed_s) if known else None
    return [
        line(
            (status_text.shower_angle(newest), "bold"),
            "   this angle ",
            (status_text.duration(angle_left_s), "bold"),
        ),
        line(
            "whole shower ",
            (status_text.duration(status.left_s), "bold"),
            "  ",
            bar(newest.elapsed_s / newest.planned_s),
        ),
        line(status_text.beam(status)),
        line("dose ", (status_text.dose(status), "bold")),
        line("size ", (_size(status), "bold"), "   ", status_text.size_change(status.showers)),
        line("drift ", (_drift(status), "bold")),
    ]


def _size(status: SessionStatus) -> str:
    """Return the newest size; not every report of the shower has an image."""
    sizes = [shower.size_nm for shower in status.showers if shower.size_nm is not None]
    return f"{sizes[-1]:.1f} nm" if sizes else "–"


def _drift(status: SessionStatus) -> str:
    known = [
        (status_text.shower_drift(shower), shower)
        for shower in status.showers
        if status_text.shower_drift(shower)
    ]
    return f"{known[-1][0]} at {known[-1][1].alpha_deg:+.0f}°" if known else "–"


def _series(status: SessionStatus) -> Lines:
    name: SeriesName = "B" if status.phase is Phase.B else "A"
    series = status.series[name]
    tilt = series.tilts[-1] if series.tilts else None
    done = len(series.tilts) / series.planned if series.planned else 0.0
    alpha = f"{tilt.frame.nominal_deg:+.1f}°" if tilt is not None else "–"
    earlier = _earlier_count(status, name)
    return [
        line(
            (alpha, "bold"),
            f" {done:.0%}  left ",
            (status_text.duration(status.left_s), "bold"),
            f"  {status_text.frames_behind(status)}",
        ),
        line(status_text.beam(status), "   ", *_counts_parts(tilt)),
        line("dose ", (status_text.dose(status), "bold")),
        line(*_alignment_parts(status, tilt, series)),
        *_high_lines(series),
        *earlier,
        line(f"{name} alone   ", *count_parts(status, name)),
        *([line("fused     ", *count_parts(status, "fused"))] if "fused" in status.counts else []),
        *structure_lines(status, "fused", name),
        *_advice(status, name, ADVICE_ROWS - len(earlier)),
        *job_lines(status),
    ]


def _earlier_count(status: SessionStatus, name: SeriesName) -> Lines:
    """Return the count of A while B is recorded."""
    if name == "A" or "A" not in status.counts:
        return []
    return [line("A alone   ", *count_parts(status, "A"))]


def _advice(status: SessionStatus, name: SeriesName, most_rows: int) -> Lines:
    """Return the advice of the live processing, advice to act on first, else oldest first."""
    about = sorted(status.standing_advice(name), key=lambda advised: advised.ok)
    rows: Lines = []
    for advised in about:
        mark, style = ("· ", "") if advised.ok else ("! ", WARNING)
        rows += [
            Text(f"{mark if i == 0 else '  '}{part}", style, no_wrap=True)
            for i, part in enumerate(wrap(_advice_text(advised), SIDE_CELLS - 4))
        ]
    if len(rows) > most_rows:
        rows[most_rows - 1 :] = [rows[most_rows - 1].append(" … l")]
    return rows


def _advice_text(advised: Advised) -> str:
    """Return the text of an advice, with its tilt; the panel shows the series already."""
    return advised.text if advised.tilt_number is None else event_text.advice_line(advised)


def _counts_parts(tilt: TiltStatus | None) -> Parts:
    if tilt is None:
        return ["counts –"]
    good = tilt.frame.verdict is FrameVerdict.OK
    word = "ok" if good else tilt.frame.verdict.upper()
    return ["counts ", (f"{tilt.frame.mean_counts:.0f} ", "bold"), (word, verdict_style(good))]


def _alignment_parts(status: SessionStatus, tilt: TiltStatus | None, series: SeriesStatus) -> Parts:
    shift = "–" if tilt is None else status_text.shift(status, tilt)
    judged = [
        (known.frame.tilt_number, known.residual_px)
        for known in series.tilts
        if known.residual_px is not None
    ]
    if not judged:
        return ["shift ", (shift, "bold"), "   live residual –"]
    number, residual_px = judged[-1]
    good = residual_px <= RESIDUAL_LIMIT_PX
    of_another = "" if tilt is None or number == tilt.frame.tilt_number else f"#{number} "
    return [
        "shift ",
        (shift, "bold"),
        f"  live residual {of_another}",
        (f"{residual_px:.2f} px ", "bold"),
        ("ok", verdict_style(good)) if good else _high_word(series),
    ]


def _high_word(series: SeriesStatus) -> tuple[str, str]:
    return ("few", WARNING) if too_early(series) else ("HIGH", BAD)


def _high_lines(series: SeriesStatus) -> Lines:
    """Return a line while tilts are high and the advice does not say so yet."""
    n = high_in_a_row(series)
    if n == 0 or fits_badly(series):
        return []
    return [line((f"! HIGH {n} in a row; at {IN_A_ROW}: {OperatorState.STOP_AT_END}", WARNING))]


def _flip(status: SessionStatus) -> Lines:
    lines = [
        line(status_text.beam(status)),
        *_flip_result(status),
        *check_lines(status),
        *job_lines(status),
    ]
    if "A" in status.counts:
        lines.append(line("A alone   ", *count_parts(status, "A")))
        lines += structure_lines(status, "A")
        lines += residual_lines(status)
    return lines


def _flip_result(status: SessionStatus) -> Lines:
    flip = status.flip_check
    if flip is None:
        return []
    word = f"{'✓' if flip.accepted else '✗'} {flip.outcome}"
    first, *rest = wrap(f"{word}: {flip.found}", SIDE_CELLS - 2)
    heading = Text(first, no_wrap=True)
    heading.stylize(verdict_style(flip.accepted), 0, len(word))
    outcome = [heading, *map(line, rest)]
    if not flip.compared:
        return outcome
    scores = (
        ("flipped", flip.flipped_score),
        ("same side up", flip.same_side_score),
        ("next best", flip.runner_up_score),
    )
    return [
        *outcome,
        *(line(f"{name:<12}  {score:.2f} ", bar(score)) for name, score in scores),
        *map(line, wrap(status_text.flip_pose(flip), SIDE_CELLS - 2)),
        line(status_text.flip_change(flip)),
    ]


def _fuse(status: SessionStatus) -> Lines:
    return [
        line(status_text.beam(status)),
        *job_lines(status),
        Text(),
        *count_table(status),
        *residual_lines(status),
    ]


def _report(status: SessionStatus) -> Lines:
    files = ("fused.mrc", "fused_ssr.mrc", "particles_fused.csv", "summary.json")
    folder = [line(("files in ", "dim"), status.folder)]
    listed = [line("  report.html")] if status.report else []
    listed += [line("  processed/", name) for name in files] if "fused" in status.counts else []
    return [
        *count_table(status),
        *residual_lines(status),
        Text(),
        line("dose ", (status_text.dose(status), "bold")),
        *(line((f"✗ {failed.job}: {failed.reason}", BAD)) for failed in status.failures),
        *folder,
        *listed,
    ]


_PANELS: dict[Phase, Callable[[SessionStatus], Lines]] = {
    Phase.PREFLIGHT: _preflight,
    Phase.SHOWER: _shower,
    Phase.A: _series,
    Phase.FLIP: _flip,
    Phase.B: _series,
    Phase.FUSE: _fuse,
    Phase.REPORT: _report,
}
