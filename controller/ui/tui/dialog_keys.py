"""Line of keys of a dialog: only the keys that work there."""

from __future__ import annotations

from rich.text import Text
from textual.screen import Screen
from textual.widgets import Static


class DialogKeys(Static):
    """Last line, over the keys of the screen below.

    Textual's Footer cannot be used: the screen below would no longer be drawn.
    """

    def on_mount(self) -> None:
        """Start to follow the offered keys."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self._show()

    def _follow(self, screen: Screen[object]) -> None:
        del screen
        self._show()

    def _show(self) -> None:
        line = Text(no_wrap=True)
        shown = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in shown:
                shown.add(binding.action)
                line.append(f" {self.app.get_key_display(binding)}", "bold")
                line.append(f" {binding.description} ")
        self.update(line)
