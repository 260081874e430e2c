"""The keys of a dialog in its last line: those that do something there, and no others."""

from __future__ import annotations

from rich.text import Text
from textual.screen import Screen
from textual.widgets import Static


class DialogKeys(Static):
    """Lies over the keys of the screen below; Textual's Footer would keep that from being drawn."""

    def on_mount(self) -> None:
        """Begin to follow what is offered."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self._show()

    def _follow(self, screen: Screen[object]) -> None:
        del screen
        self._show()

    def _show(self) -> None:
        line = Text(no_wrap=True)
        told = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in told:
                told.add(binding.action)
                line.append(f" {self.app.get_key_display(binding)}", "bold")
                line.append(f" {binding.description} ")
        self.update(line)
