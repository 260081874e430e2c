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


def phase_line(status: SessionStatus, width: int, name: str, *, read_only: bool = False) -> Text:
    """Return the phases, done ones ticked and the current one in brackets, and the name.

    A name that does not fit loses its beginning.
    """
    line = Text(no_wrap=True, overflow="crop")
    line.append(" dualtilt ", "bold")
    if status.simulated:
        line.append("SIM", "reverse bold")
        line.append(" ")
    if read_only:
        line.append("read-only ", "italic")
    line.append(" ")
    line.append_text(phases_text(status))
    room = max(0, width - line.cell_len)
    whole = f"  {name} "
    cut = whole if len(whole) <= room else f" …{whole[len(whole) - room + 2 :]}"
    line.append(cut.rjust(room))
    return line


def running_phase(status: SessionStatus) -> str:
    """Return the running phase with its progress; empty if none runs."""
    phase = status.phase
    if phase is None or status.phases[phase] is not PhaseState.RUNNING:
        return ""
    return f"{SHORT_NAMES[phase]}{_progress(status, phase)}"


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
