"""First line of the screen: phases and name of the session."""

from __future__ import annotations

from rich.text import Text

from controller.model.events import Phase
from controller.service.session_status import PhaseState, SessionStatus
from controller.ui.colours import GOOD

SHORT_NAMES = {
    Phase.PREFLIGHT: "pre",
    Phase.SHOWER: "shower",
    Phase.A: "A",
    Phase.FLIP: "flip",
    Phase.B: "B",
    Phase.FUSE: "fuse",
    Phase.REPORT: "report",
}


def phase_line(status: SessionStatus, width: int, *, read_only: bool = False) -> Text:
    """Return the phases, done ones ticked and the current one in brackets, and the name."""
    line = Text(no_wrap=True, overflow="crop")
    line.append(" dualtilt ", "bold")
    if status.simulated:
        line.append("SIM", "reverse bold")
        line.append(" ")
    if read_only:
        line.append("read-only ", "italic")
    line.append(" ")
    line.append_text(phases_text(status))
    name = f"  {status.name} "
    line.append(name.rjust(max(0, width - line.cell_len)))
    return line


def phases_text(status: SessionStatus) -> Text:
    """Return the phases, done ones ticked and the current one in brackets."""
    return Text(" ").join(_phase_text(status, phase) for phase in Phase)


def _phase_text(status: SessionStatus, phase: Phase) -> Text:
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
