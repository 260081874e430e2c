"""The measured outcomes as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np

from tests.accuracy.measure import Record

TABLES = {
    "A": "A alone",
    "B": "B alone",
    "mean": "mean of A and B",
    "paper": "signed max (as printed)",
    "masked": "masked Haar",
    "depth-weighted": "depth-weighted",
    "fused": "**fused: spheres fitted to both series**",
}


def line(outcome: Record) -> str:
    """One outcome in a line of the terminal."""
    fused = outcome["tables"]["fused"]
    n, low, high = outcome["count"]
    f1 = "  ".join(f"{name} {row['f1']:.4f}" for name, row in outcome["tables"].items())
    return (
        f"{outcome['case']}, seed {outcome['seed']}: {outcome['truth']} true, {n} ({low}-{high}); "
        f"F1 {f1}; rms {_rms(fused)} nm; d {outcome['diameter_error']:+.2%}; registration "
        f"{outcome['registration_deg']:.3f} deg; {outcome['seconds']:.0f} s, "
        f"{outcome['peak_GB']:.1f} GB"
    )


def page(outcomes: list[Record]) -> str:
    """All outcomes: a table of tables a case, then the counts."""
    parts = [
        "# Accuracy",
        "",
        "Written by `make accuracy`: simulated dual series, processed with nothing told but pixel",
        "size and angles, held against their truth: one to one within 1.5 nm after one rigid fit.",
        "Means over the seeds; the lowest F1 in brackets. rms error of the matched in x / y / z.",
        "A's beam leaves at the bottom, B's at the top. The registration is judged through each",
        "series' own particles: where A and B alone are poor, so is that measure.",
        "",
        "The twin's spheres and its beam follow the physics that the fit assumes, with nothing on",
        "them: no contamination, no grain of the film, no particle that is not round. A real",
        "specimen is harder.",
        "",
        "## Counts and measures of the fused result",
        "",
        "| case | seeds | interval holds the truth | mean width | worst F1 | largest rms, nm "
        "| least recall in an outer third | diameter off by at most | registration off by at most "
        "| seconds, one core | GB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_summary(name, group) for name, group in _by_case(outcomes)),
    ]
    for name, group in _by_case(outcomes):
        parts += ["", f"## {name}", "", _size(group), ""]
        parts += ["| | F1 | recall | precision | rms x/y/z, nm | recall bottom / middle / top |"]
        parts += ["|---|---|---|---|---|---|"]
        parts += [_row(key, title, group) for key, title in TABLES.items() if _has(key, group)]
    return "\n".join([*parts, ""])


def _by_case(outcomes: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    ordered = sorted(outcomes, key=lambda outcome: str(outcome["case"]))
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda o: str(o["case"]))]


def _size(group: list[Record]) -> str:
    counts = sorted(outcome["truth"] for outcome in group)
    size = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{size} particles, {len(group)} data set{'s' if len(group) > 1 else ''}."


def _has(key: str, group: list[Record]) -> bool:
    return any(key in outcome["tables"] for outcome in group)


def _row(key: str, title: str, group: list[Record]) -> str:
    rows = [outcome["tables"][key] for outcome in group if key in outcome["tables"]]
    f1 = [row["f1"] for row in rows]
    found = [row for row in rows if row["rms_nm"]]
    depth = np.mean([row["recall_by_depth"] for row in rows], axis=0)
    rms = _rms({"rms_nm": np.mean([row["rms_nm"] for row in found], axis=0)}) if found else "-"
    return (
        f"| {title} | {np.mean(f1):.4f} ({min(f1):.4f}) "
        f"| {np.mean([row['recall'] for row in rows]):.4f} "
        f"| {np.mean([row['precision'] for row in rows]):.4f} | {rms} "
        f"| {' / '.join(f'{value:.4f}' for value in depth)} |"
    )


def _summary(name: str, group: list[Record]) -> str:
    held = sum(o["count"][1] <= o["truth"] <= o["count"][2] for o in group)
    width = np.mean([(o["count"][2] - o["count"][1]) / o["truth"] for o in group])
    fused = [o["tables"]["fused"] for o in group]
    rms = np.max([row["rms_nm"] for row in fused if row["rms_nm"]])
    outer = min(min(row["recall_by_depth"][0], row["recall_by_depth"][2]) for row in fused)
    return (
        f"| {name} | {len(group)} | {held} | {width:.2%} | {min(row['f1'] for row in fused):.4f} "
        f"| {rms:.2f} | {outer:.4f} | {max(abs(o['diameter_error']) for o in group):.1%} "
        f"| {max(o['registration_deg'] for o in group):.3f} deg, "
        f"{max(o['registration_px'] for o in group):.2f} px "
        f"| {np.median([o['seconds'] for o in group]):.0f} "
        f"| {max(o['peak_GB'] for o in group):.1f} |"
    )


def _rms(row: Record) -> str:
    return (
        " / ".join(f"{value:.2f}" for value in row["rms_nm"]) if row["rms_nm"] is not None else "-"
    )
