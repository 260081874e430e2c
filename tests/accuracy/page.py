"""Write the accuracy results as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np

from tests.accuracy.measure import Record

TABLES = {
    "A": "A alone",
    "B": "B alone",
    "mean": "rule mean",
    "paper": "rule paper",
    "masked": "rule masked",
    "depth-weighted": "rule depth-weighted",
    "fused": "**fused: spheres fitted to both series**",
}


def line(outcome: Record) -> str:
    """Format one result as a line for the terminal."""
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
    """Format all results: a summary table, then one table per case."""
    parts = [
        "# Accuracy",
        "",
        "Written by `make accuracy`. Simulated dual series are processed with only pixel size and",
        "angles given. The particles found are compared with the true ones: after one rigid fit,",
        "they are matched one to one within 1.5 nm. Values are means over the seeds, with the",
        "lowest F1 in brackets. The rms errors of the matched particles are in x / y / z. The beam",
        "leaves A at the bottom and B at the top. The registration error is measured through the",
        "particles of each series, so it is less exact where A and B alone are poor. Seconds are",
        "those of one core while the other cores work on other data sets.",
        "",
        "Confidences and intervals in fine and coarse tilt steps: [calibration](calibration.md).",
        "Diameters of single particles: [sizes of particles](particle-sizes.md#measured).",
        "",
        "Spheres and beam of the simulator follow the physics that the fit assumes. There is no",
        "contamination, no film grain and no particle that is not round. A real specimen is more",
        "difficult.",
        "",
        "## Counts and errors of the fused result",
        "",
        "| case | seeds | truth in interval | mean width | lowest F1 | largest rms, nm "
        "| lowest recall in an outer third | largest diameter error | largest registration error "
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
    in_interval = sum(o["count"][1] <= o["truth"] <= o["count"][2] for o in group)
    width = np.mean([(o["count"][2] - o["count"][1]) / o["truth"] for o in group])
    fused = [o["tables"]["fused"] for o in group]
    rms = np.max([row["rms_nm"] for row in fused if row["rms_nm"]])
    outer = min(min(row["recall_by_depth"][0], row["recall_by_depth"][2]) for row in fused)
    return (
        f"| {name} | {len(group)} | {in_interval} | {width:.2%} "
        f"| {min(row['f1'] for row in fused):.4f} "
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
