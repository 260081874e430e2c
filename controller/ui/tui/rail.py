"""The first line: where the session is, and on which microscope."""

from __future__ import annotations

from rich.text import Text

from controller.model.events import Phase
from controller.service.status import PhaseState, SessionStatus
from controller.ui.tui.styles import GOOD

SHORT_NAMES = {
    Phase.PREFLIGHT: "pre",
    Phase.SHOWER: "shower",
    Phase.A: "A",
    Phase.FLIP: "flip",
    Phase.B: "B",
    Phase.FUSE: "fuse",
    Phase.REPORT: "report",
}


def rail_of(status: SessionStatus, width: int, *, read_only: bool = False) -> Text:
    """The phases: done ones ticked, the one under way in brackets; the name at the end."""
    rail = Text(no_wrap=True, overflow="crop")
    rail.append(" dualtilt ", "bold")
    if status.simulated:
        rail.append("SIM", "reverse bold")
        rail.append(" ")
    if read_only:
        rail.append("read-only ", "italic")
    for phase in Phase:
        rail.append(" ")
        rail.append_text(_station(status, phase))
    name = f"  {status.name} "
    rail.append(name.rjust(max(0, width - rail.cell_len)))
    return rail


def _station(status: SessionStatus, phase: Phase) -> Text:
    name = SHORT_NAMES[phase]
    match status.phases[phase]:
        case PhaseState.DONE:
            return Text(f"✓{name}", GOOD)
        case PhaseState.RUNNING:
            return Text(f"[ {name}{_progress(status, phase)} ]", "bold reverse")
        case PhaseState.PENDING:
            return Text(name, "dim")


def _progress(status: SessionStatus, phase: Phase) -> str:
    if phase not in (Phase.A, Phase.B):
        return ""
    series = status.series["A" if phase is Phase.A else "B"]
    return f" {len(series.tilts)}/{series.planned}"
