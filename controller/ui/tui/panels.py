"""The numbers beside the image, by phase: status in, styled lines out."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from rich.text import Text

from controller.model.base import SeriesName, Which
from controller.model.events import Advised, Checked, Phase, State
from controller.model.frames import FrameVerdict
from controller.service import words
from controller.service.status import RESIDUAL_LIMIT_PX, CountStatus, SessionStatus, TiltStatus
from controller.ui.tui.layout import SIDE_CELLS
from controller.ui.tui.styles import BAD, GOOD, WARNING

Lines = list[Text]
BAR_CELLS = 12
ADVICE_ROWS = 4
"""With the rest they leave two plots at 80 x 24; the log has every word."""
SHORT_REASON = 40
"""Characters that the line of the state shows beside everything else."""
FOUND: tuple[tuple[Which, str], ...] = (
    ("A", "A only"),
    ("B", "B only"),
    ("mean", "mean"),
    ("fused", "fused"),
)


def panel_of(status: SessionStatus) -> Lines:
    """The lines that matter in the phase under way."""
    phase = status.phase
    if phase is None:
        return [Text("waiting for the session …")]
    return [*_why_paused(status), *_PANELS[phase](status)]


def _why_paused(status: SessionStatus) -> Lines:
    """In full: what to do stands at its end, where one line would cut it."""
    if status.state is not State.PAUSED or len(status.reason) <= SHORT_REASON:
        return []
    return [_line((part, WARNING)) for part in wrap(f"‖ {status.reason}", SIDE_CELLS - 4)]


def _line(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _preflight(status: SessionStatus) -> Lines:
    series = [len(status.series[name].planned_tilts_deg) for name in status.series]
    failed, n = sum(not check.ok for check in status.checks), len(status.checks)
    return [
        _line(
            (" + ".join(map(str, series)), "bold"),
            " tilts   ",
            (words.duration(status.planned_s), "bold"),
        ),
        _line(
            "dose planned ",
            (words.kilo_dose(status.planned_dose_e_per_A2), "bold"),
            f" of {words.kilo_dose(status.dose_budget_e_per_A2)} ke/Å² allowed",
        ),
        _line(words.beam(status)),
        _line((f"✗ {failed} of {n} checks failed", BAD)) if failed else _line(f"{n} checks good"),
        *_checks(status),
    ]


def _checks(status: SessionStatus) -> Lines:
    """What failed comes first, and in full."""
    failed = [check for check in status.checks if not check.ok]
    good = [check for check in status.checks if check.ok]
    return [
        *(line for check in failed for line in _failed(check)),
        *(_line(("✓ ", GOOD), (f"{check.name:<12} ", "bold"), check.detail) for check in good),
    ]


def _failed(check: Checked) -> Lines:
    first, *rest = wrap(f"{check.name}: {check.detail}", SIDE_CELLS - 4)
    said = _line(("✗", BAD), f" {first}")
    said.stylize("bold", 2, 2 + len(check.name))
    return [said, *(_line(f"  {part}") for part in rest)]


def _shower(status: SessionStatus) -> Lines:
    if not status.showers:
        return [_line(words.beam(status)), _line("dose ", (words.dose(status), "bold"))]
    newest = status.showers[-1]
    known = newest.angle_planned_s > 0.0
    angle_left_s = max(0.0, newest.angle_planned_s - newest.angle_elapsed_s) if known else None
    return [
        _line(
            (words.angle(newest), "bold"), "   this angle ", (words.duration(angle_left_s), "bold")
        ),
        _line(
            "whole shower ",
            (words.duration(status.left_s), "bold"),
            "  ",
            bar(newest.elapsed_s / newest.planned_s),
        ),
        _line(words.beam(status)),
        _line("dose ", (words.dose(status), "bold")),
        _line("size ", (_size(status), "bold"), "   ", words.size_change(status.showers)),
        _line("drift ", (_drift(status), "bold")),
    ]


def _size(status: SessionStatus) -> str:
    """The newest there is: not every word from the shower comes with a look."""
    sizes = [shower.size_nm for shower in status.showers if shower.size_nm is not None]
    return f"{sizes[-1]:.1f} nm" if sizes else "–"


def _drift(status: SessionStatus) -> str:
    known = [(words.drift(shower), shower) for shower in status.showers if words.drift(shower)]
    return f"{known[-1][0]} at {known[-1][1].alpha_deg:+.0f}°" if known else "–"


def _series(status: SessionStatus) -> Lines:
    name: SeriesName = "B" if status.phase is Phase.B else "A"
    series = status.series[name]
    tilt = series.tilts[-1] if series.tilts else None
    done = len(series.tilts) / series.planned if series.planned else 0.0
    alpha = f"{tilt.frame.nominal_deg:+.1f}°" if tilt is not None else "–"
    return [
        _line(
            (alpha, "bold"),
            f" {done:.0%}  left ",
            (words.duration(status.left_s), "bold"),
            f"  {words.behind(status)}",
        ),
        _line(words.beam(status), "   ", *_counts(tilt)),
        _line("dose ", (words.dose(status), "bold")),
        _line(*_alignment(tilt, series.tilts)),
        _line(f"seen by {name} ", *_found(status, name)),
        *([_line("fused     ", *_found(status, "fused"))] if "fused" in status.counts else []),
        *_advice(status, name),
        *_jobs(status),
    ]


def _advice(status: SessionStatus, name: SeriesName) -> Lines:
    """What the live processing says of the series; what somebody may want to act on comes first."""
    # stable: what was said first comes first
    about = sorted(status.standing_advice(name), key=lambda advised: advised.ok)
    rows: Lines = []
    for advised in about:
        mark, style = ("· ", "") if advised.ok else ("! ", WARNING)
        rows += [
            Text(f"{mark if i == 0 else '  '}{part}", style, no_wrap=True)
            for i, part in enumerate(wrap(_advice_text(advised), SIDE_CELLS - 4))
        ]
    if len(rows) > ADVICE_ROWS:
        rows[ADVICE_ROWS - 1 :] = [rows[ADVICE_ROWS - 1].append(" … l")]
    return rows


def _advice_text(advised: Advised) -> str:
    """Return the text of an advice; its series stands above it, its tilt does not."""
    return advised.text if advised.tilt_number is None else words.advice(advised)


def _counts(tilt: TiltStatus | None) -> list[str | tuple[str, str]]:
    if tilt is None:
        return ["counts –"]
    good = tilt.frame.verdict is FrameVerdict.OK
    word = "ok" if good else tilt.frame.verdict.upper()
    return ["counts ", (f"{tilt.frame.mean_counts:.0f} ", "bold"), (word, _style(good))]


def _alignment(
    tilt: TiltStatus | None, tilts: tuple[TiltStatus, ...]
) -> list[str | tuple[str, str]]:
    shift = "–" if tilt is None else f"{tilt.shift_px:.1f} px"
    judged = [known.residual_px for known in tilts if known.residual_px is not None]
    if not judged:
        return ["shift ", (shift, "bold"), "   residual –"]
    good = judged[-1] <= RESIDUAL_LIMIT_PX
    return [
        "shift ",
        (shift, "bold"),
        "   residual ",
        (f"{judged[-1]:.2f} px ", "bold"),
        ("ok" if good else "HIGH", _style(good)),
    ]


def _found(status: SessionStatus, name: Which) -> list[str | tuple[str, str]]:
    known = status.counts.get(name)
    if known is None:
        return ["not counted yet"]
    diameter = f"   d {known.diameter_nm:.1f} nm" if known.diameter_nm else ""
    final = "" if known.live else " final"
    return [(words.count_so_far(known), "bold"), final, diameter]


def _jobs(status: SessionStatus) -> Lines:
    """What processing is at; the live reconstruction shows by its results."""
    return [
        _line(
            f"{job}: ",
            (under_way.stage, "bold"),
            f" {bar(under_way.fraction)} {under_way.fraction:.0%}",
        )
        for job, under_way in status.processing.items()
        if not job.startswith("live")
    ]


def _flip(status: SessionStatus) -> Lines:
    lines = [_line(words.beam(status)), *_flip_result(status), *_checks(status), *_jobs(status)]
    if "A" in status.counts:
        lines.append(_line("seen by A ", *_found(status, "A")))
    return lines


def _flip_result(status: SessionStatus) -> Lines:
    flip = status.flip_check
    if flip is None:
        return []
    word = "✓ accepted" if flip.accepted else "✗ REFUSED"
    first, *rest = wrap(f"{word}: {flip.found}", SIDE_CELLS - 2)
    said = Text(first, no_wrap=True)
    said.stylize(_style(flip.accepted), 0, len(word))
    told = [said, *map(_line, rest)]
    if not flip.compared:
        return told
    scores = (
        ("flipped", flip.flipped_score),
        ("same side up", flip.same_side_score),
        ("runner-up", flip.runner_up_score),
    )
    return [
        *told,
        *(_line(f"{name:<12}  {score:.2f} ", bar(score)) for name, score in scores),
        _line(words.flip_pose(flip)),
        _line(words.flip_change(flip)),
    ]


def _fuse(status: SessionStatus) -> Lines:
    return [_line(words.beam(status)), *_jobs(status), Text(), *_table(status)]


def _table(status: SessionStatus) -> Lines:
    """Counts of A only, B only, both."""
    rows = [_line((f"{'particles':<10}{'n':>16}   d/nm", "dim"))]
    for which, label in FOUND:
        known = status.counts.get(which)
        if known is not None:
            rows.append(_row(label, known))
    return rows


def _row(label: str, known: CountStatus) -> Text:
    diameter = f"{known.diameter_nm:.2f}" if known.diameter_nm else "–"
    live = " live" if known.live else ""
    return _line(
        f"{label:<10}", (f"{words.count_so_far(known):>16}", "bold"), f"   {diameter}{live}"
    )


def _report(status: SessionStatus) -> Lines:
    files = ("fused.mrc", "fused_ssr.mrc", "particles_fused.csv", "summary.json")
    where = [_line(("files in ", "dim"), status.folder)]
    listed = [_line("  report.html", ("   o opens it", "dim"))] if status.report else []
    listed += [_line("  processed/", name) for name in files] if "fused" in status.counts else []
    return [
        *_table(status),
        Text(),
        _line("dose ", (words.dose(status), "bold")),
        *(_line((f"✗ {failed.job}: {failed.reason}", BAD)) for failed in status.failures),
        *where,
        *listed,
    ]


def bar(fraction: float) -> str:
    """A bar of twelve cells, in eighths."""
    eighths = round(8 * BAR_CELLS * min(max(fraction, 0.0), 1.0))
    full, rest = divmod(eighths, 8)
    part = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + part).ljust(BAR_CELLS, "·")


def _style(good: bool) -> str:
    return GOOD if good else BAD


_PANELS: dict[Phase, Callable[[SessionStatus], Lines]] = {
    Phase.PREFLIGHT: _preflight,
    Phase.SHOWER: _shower,
    Phase.A: _series,
    Phase.FLIP: _flip,
    Phase.B: _series,
    Phase.FUSE: _fuse,
    Phase.REPORT: _report,
}
