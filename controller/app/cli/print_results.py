"""Results of processing as text: counts, files and verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.exit_codes import ExitCode
from controller.model.count_verdict import Trust, interval_in_words

if TYPE_CHECKING:
    from processing.results import Count, Diameter, Summary


def print_counts(summary: Summary) -> None:
    """Print counts with their intervals, diameter, registration, structure and warnings."""
    for line in count_lines(summary):
        print(line)


def count_lines(summary: Summary) -> list[str]:
    """Return counts with their intervals, diameter, registration, structure and warnings."""
    lines = [f"{'':8}{'particles':>10}  95 % interval"]
    for name in ("A", "B", "fused"):
        count = getattr(summary.counts, name)
        if count is not None:
            lines.append(f"{name:8}{count.n:>10}  {interval_text(count)}")
    if summary.counts.B is None and not summary.is_refused:
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
    if count.is_refused:
        return "none, the count is refused"
    trust = Trust.TRUSTED if count.verdict is None else Trust(count.verdict.state)
    if trust is Trust.TRUSTED:
        return f"{count.n_low} to {count.n_high}"
    return interval_in_words(trust, count.n_low, count.n_high)


def print_verdict(summary: Summary) -> ExitCode:
    """Print the verdict on the final count as the last lines; return the exit code."""
    for line in verdict_lines(summary):
        print(line)
    return ExitCode.SAFETY if summary.is_refused else ExitCode.OK


def verdict_lines(summary: Summary) -> list[str]:
    """Return the verdict on the final count with its reasons; empty without a verdict."""
    verdict = summary.verdict
    if verdict is None:
        return []
    lines = [f"{verdict.state}: {reason}" for reason in verdict.reasons]
    if summary.is_refused:
        lines.append(
            "refused: do not use the count; the volumes and aligned images may still be of use"
        )
    if Trust(verdict.state) is Trust.TRUSTED:
        lines.append("trusted: the particles found explain the images")
    return lines


def print_files(out: Path, summary: Summary) -> None:
    """Print the paths of the results."""
    for path in [*summary.files.values(), "processed/summary.json"]:
        print((out / path).resolve())
