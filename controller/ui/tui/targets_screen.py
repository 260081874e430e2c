"""Screen of the queue: all targets of the grid, and a stop after the present one."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from controller.service.queue_status import QueueView
from controller.service.session_status import SessionStatus
from controller.ui.tui.dialog_keys import DialogKeys
from controller.ui.tui.queue_lines import STOPS, target_table


class TargetsScreen(ModalScreen[None]):
    """Targets with state, counts and verdict, newest values as long as it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,t", "dismiss", "Back", key_display="esc"),
        Binding("space", "app.pause", "Pause"),
        Binding("space", "app.go_on", "Go on"),
        Binding("s", "app.stop_after_target", "Stop after this target"),
        Binding("s", "app.go_on_after_target", "Do not stop after it"),
        Binding("x", "app.stop", "Stop…"),
    ]

    def __init__(self, queue: QueueView, status: SessionStatus) -> None:
        super().__init__()
        # kept here, not queried: a message may still come while the screen closes
        self._dialog = Vertical(classes="dialog wide")
        self._table = Static(id="targets")
        self.show(queue, status)

    def compose(self) -> ComposeResult:
        """Lay out the table and the keys."""
        with self._dialog, VerticalScroll():
            yield self._table
        yield DialogKeys()

    def show(self, queue: QueueView, status: SessionStatus) -> None:
        """Show the newest values."""
        number = len(queue.status.targets)
        self._dialog.border_title = f"{queue.status.name}: {number} targets"
        self._dialog.border_subtitle = STOPS if queue.stops else "↑ ↓ scroll · esc back"
        self._table.update(target_table(queue, status))
