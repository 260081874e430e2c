"""What was found: counts, accuracy, registration, alignment, fusion."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.fusion_rules import FusionRule
from controller.report.facts import Facts, Json
from controller.report.html import MISSING, number, section, table, text
from controller.service import status_text

NAMES = {
    "A": "series A alone",
    "B": "series B alone",
    FusionRule.MEAN: "mean of A and B",
    FusionRule.PAPER: "signed maximum, as printed",
    FusionRule.MASKED: "masked Haar",
    FusionRule.DEPTH_WEIGHTED: "weighted by depth",
    "fused": "A and B fused",
}
"""Volumes in the order of the tables."""


def summary_counts(facts: Facts) -> str:
    """A tile a volume."""
    tiles = "".join(_tile(name, facts) for name in ("A", "B", "fused"))
    diameter = facts.summary.get("diameter_nm") or {}
    lead = ""
    if diameter:
        spacing = diameter.get("from_pair_distance")
        lead = f"Sphere diameter {number(diameter['value'], '.2f', 'nm')}, {diameter['source']}"
        lead += f"; neighbours {number(spacing, '.2f', 'nm')} apart." if spacing else "."
    return section("Particles", f'<div class="tiles">{tiles}</div>' if tiles else "", lead=lead)


def _tile(name: str, facts: Facts) -> str:
    count = (facts.summary.get("counts") or {}).get(name)
    note = ""
    if not count:
        live = facts.status.counts.get(name)  # type: ignore[call-overload]
        if live is None:
            return ""
        count, note = live.latest.model_dump(), "live count, not final"
    interval = f"{number(count['n_low'])} – {number(count['n_high'])}"
    return (
        f'<div class="tile of-{name}"><span class="what">{NAMES[name]}</span>'
        f"<b>{number(count['n'])}</b><span>95 % interval {interval}</span>"
        f"{f'<span>{note}</span>' if note else ''}</div>"
    )


def accuracy(facts: Facts) -> str:
    """Against the truth, where there is one."""
    tables: dict[str, Json] = facts.accuracy.get("tables") or {}
    rows = [_accuracy_row(name, tables[name]) for name in NAMES if name in tables]
    failures = [
        f"<p class='note'>{text(NAMES[name])}: {text(score['failure'])}.</p>"
        for name, score in tables.items()
        if name in NAMES and score.get("failure")
    ]
    head = (
        "volume",
        "found",
        "recall",
        "precision",
        "F1",
        "rms x / y / z, nm",
        "recall by depth third<br>bottom / middle / top",
    )
    lead = (
        f"The simulated specimen holds {number(facts.accuracy.get('n_truth'))} particles. Found "
        f"ones match one to one within {number(facts.accuracy.get('tolerance_nm'), '.2f', 'nm')} "
        "after one rigid fit. The bottom is the exit side of A, the top that of B."
    )
    return section("Accuracy against the simulated truth", table(head, rows), *failures, lead=lead)


def _accuracy_row(name: str, score: Json) -> list[str]:
    def values(key: str, form: str) -> str:
        listed = score.get(key)
        return " / ".join(number(v, form) for v in listed) if listed else MISSING

    return [
        text(NAMES.get(name, name)),
        number(score.get("found")),
        number(score.get("recall"), ".4f"),
        number(score.get("precision"), ".4f"),
        number(score.get("f1"), ".4f"),
        values("rms_nm", ".2f"),
        values("recall_by_depth", ".3f"),
    ]


def flip(facts: Facts) -> str:
    """How B was recognised as the flipped A, and how it was brought onto it."""
    return section("Flip and registration", _flip_check(facts), _registration(facts))


def _flip_check(facts: Facts) -> str:
    check = facts.status.flip_check
    if check is None:
        return ""
    verdict = "accepted" if check.accepted else "not accepted"
    found = f"<p>{text(check.found)}: {verdict}.</p>"
    compared = _flip_comparison(check) if check.compared else ""
    return f"<h3>B’s first images against A’s</h3>{found}{compared}"


def _flip_comparison(check: FlipChecked) -> str:
    bars = "".join(
        f'<div class="bar" style="--tone: var(--{tone})"><span>{name}</span>'
        f'<i style="width: {100 * max(score, 0):.0f}%"></i>'
        f"<span>{number(score, '.3f')}</span></div>"
        for name, score, tone in (
            ("flipped", check.flipped_score, "fused"),
            ("same side up", check.same_side_score, "quiet"),
            ("runner-up", check.runner_up_score, "quiet"),
        )
    )
    pose, change = status_text.flip_pose(check), status_text.flip_change(check)
    return f"{bars}<p>{text(pose)}; {text(change)}.</p>"


def _registration(facts: Facts) -> str:
    found = facts.summary.get("registration")
    if not found:
        return ""
    rows = [
        ("turned in the plane", number(found.get("in_plane_deg"), "+.2f", "°")),
        ("seat tilt", number(found.get("seat_tilt_deg"), ".2f", "°")),
        ("shift x, y, z", ", ".join(number(v, "+.2f") for v in found["shift_nm"]) + " nm"),
        ("size of A over B", number(found.get("scale"), ".4f")),
        ("score", number(found.get("score"), ".3f")),
        ("runner-up", number(found.get("runner_up"), ".3f")),
        ("matched centres apart, rms", number(found.get("rms_nm"), ".2f", "nm")),
        (
            "matrix",
            "<br>".join(" ".join(number(v, "+.4f") for v in row) for row in found["matrix"]),
        ),
    ]
    return "<h3>B onto A: p<sub>A</sub> = matrix · p<sub>B</sub> + shift</h3>" + table(
        ("", ""), rows, "words facts"
    )


def alignment(facts: Facts) -> str:
    """Images used, and how well they agree."""
    rows = []
    for name, series in (facts.summary.get("series") or {}).items():
        rows.append(
            [
                f"series {text(name)}",
                number(series["tilts"]),
                ", ".join(str(index) for index in series["excluded"]) or "none",
                number(series["align_rms_px"], ".3f"),
                number(series.get("tilt_axis_deg"), "+.2f", "°"),
            ]
        )
    fusion = facts.summary.get("fusion")
    note = (
        f"<p class='note'>Fused by the rule “{text(fusion['rule'])}”, {text(fusion['wavelet'])} "
        f"wavelet, {fusion['level']} levels.</p>"
        if fusion
        else ""
    )
    head = ("", "images used", "left out", "alignment rms, px", "tilt axis")
    return section("Alignment and fusion", table(head, rows), note)
