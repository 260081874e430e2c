"""Sections on the results: counts, accuracy, flip and registration, alignment and fusion."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.fusion_rules import FusionRule
from controller.report.html import MISSING, at_least_zero, number, section, table, text
from controller.report.intervals import interval
from controller.report.report_data import Json, ReportData
from controller.service import status_text

WORST = 5
"""Number of images that are named for their residuals."""
VOLUME_NAMES = {
    "A": "A alone",
    "B": "B alone",
    FusionRule.MEAN: "rule mean",
    FusionRule.PAPER: "rule paper",
    FusionRule.MASKED: "rule masked",
    FusionRule.DEPTH_WEIGHTED: "rule depth-weighted",
    "fused": "A and B fused",
}
"""Name of each volume for people, in the order of the tables; rules have the protocol's names."""


def particle_counts(data: ReportData) -> str:
    """Return the counts, one tile for each volume."""
    tiles = "".join(_tile(name, data) for name in ("A", "B", "fused"))
    diameter = data.summary.get("diameter_nm") or {}
    lead = ""
    if diameter.get("shape"):
        lead = (
            f"Particles of the given shape {text(diameter['shape']['name'])}: bodies with a place "
            "and an orientation each were fitted to the images. The tables hold the orientations "
            "as quaternions; OVITO draws the .xyz files by them."
        )
    elif diameter:
        spacing = diameter.get("from_pair_distance")
        lead = f"Sphere diameter {number(diameter['value'], '.2f', 'nm')}, {diameter['source']}"
        lead += f"; pairs are most often {number(spacing, '.2f', 'nm')} apart." if spacing else "."
    return section("Particles", f'<div class="tiles">{tiles}</div>' if tiles else "", lead=lead)


def _tile(name: str, data: ReportData) -> str:
    count = (data.summary.get("counts") or {}).get(name)
    note = ""
    if not count:
        live = data.status.counts.get(name)  # type: ignore[call-overload]
        if live is None:
            return ""
        count, note = live.latest.model_dump(), "live count, not final"
    return (
        f'<div class="tile of-{name}"><span class="what">{VOLUME_NAMES[name]}</span>'
        f"<b>{number(count['n'])}</b><span>{interval(count)}</span>"
        f"{f'<span>{note}</span>' if note else ''}</div>"
    )


def accuracy(data: ReportData) -> str:
    """Return the comparison with the simulated truth; empty for real specimens."""
    tables: dict[str, Json] = data.accuracy.get("tables") or {}
    rows = [_accuracy_row(name, tables[name]) for name in VOLUME_NAMES if name in tables]
    failures = [
        f"<p class='note'>{text(VOLUME_NAMES[name])}: {text(score['failure'])}.</p>"
        for name, score in tables.items()
        if name in VOLUME_NAMES and score.get("failure")
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
        f"The simulated specimen holds {number(data.accuracy.get('n_truth'))} particles. "
        "After one rigid fit each found particle is matched with at most one true particle within "
        f"{number(data.accuracy.get('tolerance_nm'), '.2f', 'nm')}. "
        "The bottom is the exit side of A, the top that of B."
    )
    return section("Accuracy against the simulated truth", table(head, rows), *failures, lead=lead)


def _accuracy_row(name: str, score: Json) -> list[str]:
    def values(key: str, form: str) -> str:
        listed = score.get(key)
        return " / ".join(number(v, form) for v in listed) if listed else MISSING

    return [
        text(VOLUME_NAMES.get(name, name)),
        number(score.get("found")),
        number(score.get("recall"), ".4f"),
        number(score.get("precision"), ".4f"),
        number(score.get("f1"), ".4f"),
        values("rms_nm", ".2f"),
        values("recall_by_depth", ".3f"),
    ]


def flip(data: ReportData) -> str:
    """Return the result of the flip check and the registration of B to A."""
    return section("Flip and registration", _flip_check(data), _registration(data))


def _flip_check(data: ReportData) -> str:
    check = data.status.flip_check
    if check is None:
        return ""
    verdict = "accepted" if check.accepted else "not accepted"
    found = f"<p>{text(check.found)}: {verdict}.</p>"
    compared = _flip_comparison(check) if check.compared else ""
    return f"<h3>First images of B compared with A</h3>{found}{compared}"


def _flip_comparison(check: FlipChecked) -> str:
    bars = "".join(
        f'<div class="bar" style="--tone: var(--{tone})"><span>{name}</span>'
        f'<i style="width: {100 * max(score, 0):.0f}%"></i>'
        f"<span>{number(score, '.3f')}</span></div>"
        for name, score, tone in (
            ("flipped", check.flipped_score, "fused"),
            ("same side up", check.same_side_score, "quiet"),
            ("next best", check.runner_up_score, "quiet"),
        )
    )
    pose, change = status_text.flip_pose(check), status_text.flip_change(check)
    return f"{bars}<p>{text(pose)}; {text(change)}.</p>"


def _registration(data: ReportData) -> str:
    found = data.summary.get("registration")
    if not found:
        return ""
    rows = [
        ("in-plane rotation", number(found.get("in_plane_deg"), "+.2f", "°")),
        ("residual tilt", number(found.get("seat_tilt_deg"), ".2f", "°")),
        ("shift x, y, z", ", ".join(number(v, "+.2f") for v in found["shift_nm"]) + " nm"),
        ("scale, A / B", number(found.get("scale"), ".4f")),
        ("score", number(found.get("score"), ".3f")),
        ("next best", number(found.get("runner_up"), ".3f")),
        ("RMS centre distance", number(found.get("rms_nm"), ".2f", "nm")),
        (
            "matrix",
            "<br>".join(" ".join(number(v, "+.4f") for v in row) for row in found["matrix"]),
        ),
    ]
    return (
        "<h3>Registration of B to A: p<sub>A</sub> = matrix · p<sub>B</sub> + shift</h3>"
        + table(("", ""), rows, "words labels")
    )


def alignment(data: ReportData) -> str:
    """Return the images used, their alignment residual and the fusion rule."""
    rows = []
    for name, series in (data.summary.get("series") or {}).items():
        rows.append(
            [
                f"series {text(name)}",
                number(series["tilts"]),
                _left_out(data, name, series["excluded"]),
                at_least_zero(series["align_rms_px"], ".3f"),
                _largest_residuals(data, name, series),
                number(series.get("tilt_axis_deg"), "+.2f", "°"),
            ]
        )
    fusion = data.summary.get("fusion")
    note = (
        f"<p class='note'>Fusion rule “{text(fusion['rule'])}”, {text(fusion['wavelet'])} "
        f"wavelet, {fusion['level']} levels.</p>"
        if fusion
        else ""
    )
    head = (
        "",
        "images used",
        "images left out",
        "final residual, rms, px",
        "largest, px",
        "tilt axis",
    )
    return section("Alignment and fusion", table(head, rows), note)


def _largest_residuals(data: ReportData, name: str, series: Json) -> str:
    """Return the tilts with the largest residuals, of an earlier version a dash."""
    excluded = set(series["excluded"])
    residuals_px = {
        section: image["residual_px"]
        for section, image in enumerate(series.get("images") or [])
        if section not in excluded and image["residual_px"] is not None
    }
    worst = sorted(residuals_px, key=lambda section: residuals_px[section], reverse=True)[:WORST]
    names = data.tilt_names(name)
    named = (
        f"{_tilt(name, section, names)} {number(residuals_px[section], '.3f')}" for section in worst
    )
    return ", ".join(named) or MISSING


def _left_out(data: ReportData, name: str, sections: list[int]) -> str:
    """Return the tilts whose images were not used."""
    names = data.tilt_names(name)
    return ", ".join(_tilt(name, section, names) for section in sections) or "none"


def _tilt(series: str, section: int, names: dict[int, str]) -> str:
    """Return the name of the tilt in a section; a tilt recorded twice has two sections."""
    tilt = names.get(section, f"{series}#{section + 1}")
    return f"{tilt} (section {section})" if list(names.values()).count(tilt) > 1 else tilt
