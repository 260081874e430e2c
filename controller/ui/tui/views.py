"""Which pictures there are to look at, and which one a phase shows by itself."""

from __future__ import annotations

from collections.abc import Iterable

from controller.model.events import Phase

FLIP = "flip"
"""Made here of the newest frame: A beside what B should look like."""
CHECK = "check-B"
"""What was seen of B at the flip, beside what it should look like."""
ORDER = ("frame", "slice-A", "slice-B", "slice-fused", "slice-difference", FLIP, CHECK)

_BY_PHASE: dict[Phase, tuple[str, ...]] = {
    Phase.FLIP: (FLIP, "frame"),
    Phase.FUSE: ("slice-fused", "slice-B", "slice-A", "frame"),
    Phase.REPORT: ("slice-fused", "slice-A", "frame"),
}


def in_order(names: Iterable[str]) -> list[str]:
    """The views there are, the known ones first."""
    known = set(names)
    return [name for name in ORDER if name in known] + sorted(known - set(ORDER))


def shown_by_itself(phase: Phase | None, names: Iterable[str]) -> str | None:
    """The view a phase begins with, among those there are."""
    known = set(names)
    wanted = _BY_PHASE.get(phase, ORDER) if phase is not None else ORDER
    return next((name for name in wanted if name in known), None)


def after(name: str | None, names: Iterable[str]) -> str | None:
    """The next view in the cycle."""
    cycle = in_order(names)
    if not cycle:
        return None
    return cycle[(cycle.index(name) + 1) % len(cycle)] if name in cycle else cycle[0]
