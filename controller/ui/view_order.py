"""Order of the pictures, and the picture that a phase shows first."""

from __future__ import annotations

from collections.abc import Iterable

from controller.model.events import Phase
from controller.model.survey import MAP_FIELDS

FLIP_PREDICTION = "flip"
"""Newest frame of A beside the prediction for B; the screen makes it."""
FLIP_CHECK = "check-B"
"""Image of B at the flip check, beside the prediction from A."""
SPECTRUM = "spectrum"
"""Power spectrum of the newest frame; the screen makes it."""
ORDER = (
    "frame",
    "slice-A",
    "slice-B",
    "slice-fused",
    "slice-difference",
    FLIP_PREDICTION,
    FLIP_CHECK,
    SPECTRUM,
)

LABELS = {
    "frame": "Frame",
    "slice-A": "Slice of A",
    "slice-B": "Slice of B",
    "slice-fused": "Slice, fused",
    "slice-difference": "B - A",
    FLIP_PREDICTION: "A and prediction",
    FLIP_CHECK: "Flip check",
    SPECTRUM: "Power spectrum",
    **{
        f"map-{series}-{name}": f"Map of {series}, {name}" for series in "AB" for name in MAP_FIELDS
    },
}
"""Names of the pictures for the reader."""

_BY_PHASE: dict[Phase, tuple[str, ...]] = {
    Phase.FLIP: (FLIP_PREDICTION, "frame"),
    Phase.FUSE: ("slice-fused", "slice-B", "slice-A", "frame"),
    Phase.REPORT: ("slice-fused", "slice-A", "frame"),
}


def in_order(names: Iterable[str]) -> list[str]:
    """Return the views in order, unknown ones last."""
    known = set(names)
    return [name for name in ORDER if name in known] + sorted(known - set(ORDER))


def first_view(phase: Phase | None, names: Iterable[str]) -> str | None:
    """Return the view that a phase shows first; None without views."""
    known = set(names)
    wanted = _BY_PHASE.get(phase, ORDER) if phase is not None else ORDER
    return next((name for name in wanted if name in known), None)


def next_view(name: str | None, names: Iterable[str]) -> str | None:
    """Return the next view in the cycle."""
    cycle = in_order(names)
    if not cycle:
        return None
    return cycle[(cycle.index(name) + 1) % len(cycle)] if name in cycle else cycle[0]
