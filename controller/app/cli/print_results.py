"""Results of processing as text: counts, files and verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from processing.results import Count, Diameter, Summary


def print_counts(summary: Summary) -> None:
    """Print counts with their intervals, diameter, registration, structure and warnings."""
    for line in count_lines(summary):
        print(line)


def count_lines(summary: Summary) -> list[str]:
    """Return counts with their intervals, diameter, registration, structure and warnings."""
    from processing.results import Trust

    lines = [f"{'':8}{'particles':>10}  95 % interval"]
    for name in ("A", "B", "fused"):
        count = getattr(summary.counts, name)
        if count is not None:
            lines.append(f"{name:8}{count.n:>10}  {interval_text(count)}")
    verdict = summary.verdict
    refused = verdict is not None and verdict.state is Trust.REFUSED
    if summary.counts.B is None and not refused:
        lines.append("not in the interval: particles hidden where the beam leaves; record B")
    diameter = summary.diameter_nm
    if diameter.shape is None:
        sizes = _sizes_text(diameter)
        lines.append(f"diameter {diameter.value:.2f} nm ({diameter.source}){sizes}")
    else:
        lines.append(f"shape {diameter.shape.name} (given), places and orientations fitted")
    if summary.registration is not None:
        found = summary.registration
        lines.append(
            f"B onto A: turned by {found.in_plane_deg:.1f} degrees in the plane, "
            f"{found.score:.0%} of the particles paired (next best pose {found.runner_up:.0%})"
        )
    if summary.structure is not None:
        lines.append(f"structure: {summary.structure.headline()}")
    return [*lines, *(f"warning: {warning}" for warning in summary.warnings)]


def _sizes_text(diameter: Diameter) -> str:
    """Return mean and spread of the particles' own diameters; empty if they were not measured."""
    mean, spread, error = diameter.mean, diameter.spread, diameter.spread_se
    if mean is None or spread is None or error is None:
        return ""
    inside = " inside a kind" if diameter.kinds else ""
    return f"; mean {mean:.2f} nm, spread{inside} {spread / mean:.1%} ± {error / mean:.1%}"


def interval_text(count: Count) -> str:
    """Return the interval; that of a doubtful count is marked, and a refused count has none."""
    from processing.results import Trust

    if count.verdict is not None and count.verdict.state is Trust.REFUSED:
        return "none, the count is refused"
    interval = f"{count.n_low} to {count.n_high}"
    if count.verdict is None or count.verdict.state is Trust.TRUSTED:
        return interval
    return f"{interval} ({count.verdict.state}, no 95 % interval)"


def print_verdict(summary: Summary) -> ExitCode:
    """Print the verdict on the final count as the last lines; return the exit code."""
    from processing.results import Trust

    for line in verdict_lines(summary):
        print(line)
    refused = summary.verdict is not None and summary.verdict.state is Trust.REFUSED
    return ExitCode.SAFETY if refused else ExitCode.OK


def verdict_lines(summary: Summary) -> list[str]:
    """Return the verdict on the final count with its reasons; empty without a verdict."""
    from processing.results import Trust

    verdict = summary.verdict
    if verdict is None:
        return []
    lines = [f"{verdict.state}: {reason}" for reason in verdict.reasons]
    if verdict.state is Trust.REFUSED:
        lines.append(
            "refused: do not use the count; the volumes and aligned images may still be of use"
        )
    if verdict.state is Trust.TRUSTED:
        lines.append("trusted: the particles found explain the images")
    return lines


def print_files(out: Path, summary: Summary) -> None:
    """Print the paths of the results."""
    for path in [*summary.files.values(), "processed/summary.json"]:
        print((out / path).resolve())
