"""Questions: the session's prompts, and how to stop."""

from __future__ import annotations

import re
import time
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from controller.model.commands import Answer, StopWhen
from controller.model.prompts import Prompt
from controller.service import words
from controller.ui.tui.keys import DialogKeys
from controller.ui.tui.layout import LINES_AROUND_BODY, side_cells, tail_cells

LINES_AROUND_STEPS = 8
"""Border, title, gaps, reason, command."""
DEAF_FOR_S = 0.5
"""No answer is taken so soon after a prompt appears: the key was meant for something else."""
RETAKE_CHOICES = (1, 2, 3, 5, 10)
STOP_CHOICES = {
    StopWhen.AFTER_TILT: "after this tilt",
    StopWhen.AT_END_OF_SERIES: "at the end of the series",
    StopWhen.NOW: "NOW, beam blanked at once",
}


def _steps(prompt: Prompt) -> Table:
    """What to do; lines that begin with a number hang from it."""
    table = Table.grid(padding=(0, 1))
    for instruction in _unfolded(prompt.text):
        number, said = _NUMBERED.match(instruction).groups()  # type: ignore[union-attr]
        table.add_row(Text(number or "·", "dim"), said)
    return table


def _unfolded(text: str) -> list[str]:
    """One instruction each: a line that is indented, or goes on in small letters, is the rest."""
    instructions: list[str] = []
    for line in text.splitlines():
        if instructions and (line[:1].isspace() or line[:1].islower()):
            instructions[-1] += f" {line.strip()}"
        else:
            instructions.append(line)
    return instructions


_NUMBERED = re.compile(r"(\d+\.)?\s*(.*)")


class PromptDialog(ModalScreen[Answer | None]):
    """One prompt of the session; leaves the image in view. None: looked at, not answered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Later"),
        # the choices have the focus, and would take them
        Binding("pagedown", "read(1)", "Read on", priority=True, key_display="PgDn"),
        Binding("pageup", "read(-1)", "Read back", show=False, priority=True),
        # what helps to answer, or answers in its own way
        Binding("v", "app.view", "View"),
        Binding("z", "app.zoom", "Zoom", show=False),
        Binding("x", "app.stop", "Stop…"),
        Binding("l", "app.log", "Log"),
        Binding("question_mark,f1", "app.help", "Help", key_display="?"),
        Binding("q", "app.detach", "Detach"),
    ]

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt
        self._withdrawn = False
        self._appeared_s = time.monotonic()
        # held here, not looked up: a size may still come while the dialog is being taken down
        self._dialog = Vertical(classes="dialog")
        self._title = Static(id="title")
        self._instructions = VerticalScroll(Static(_steps(prompt)))
        self._choices = OptionList(*(Option(choice, id=choice) for choice in prompt.choices))
        self._reason = Input(placeholder="reason, shown in the report", id="reason", compact=True)
        self._command = Static(id="command")

    def compose(self) -> ComposeResult:
        """Title, what to do, choices, reason, the same on the command line; the keys."""
        prompt = self.prompt
        with self._dialog:
            self._dialog.border_title = f"? {prompt.id}"
            self._dialog.border_subtitle = " · ".join(
                filter(None, ("esc later", prompt.unanswered))
            )
            yield self._title
            yield self._instructions
            yield self._choices
            yield self._reason
            yield self._command
        yield DialogKeys()

    def on_resize(self, event: Resize) -> None:
        """Cover the numbers, never the image."""
        self._dialog.styles.width = side_cells(event.size)
        self._dialog.styles.margin = (0, tail_cells(event.size), 2, 0)
        room = event.size.height - LINES_AROUND_BODY - LINES_AROUND_STEPS
        self._instructions.styles.max_height = max(3, room - len(self.prompt.choices))
        self.call_after_refresh(self._show_title)

    def _show_title(self) -> None:
        """With the way to the rest of the instructions, where they do not all fit."""
        title = Text(self.prompt.title, "bold")
        if self._instructions.max_scroll_y > 0:
            title.append("  PgDn reads on", "not bold dim")
        self._title.update(title)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to read on where there is more to read."""
        del parameters
        return action != "read" or self._instructions.max_scroll_y > 0

    def action_read(self, pages: int) -> None:
        """Scroll the instructions."""
        page = max(1, self._instructions.size.height - 1)
        self._instructions.scroll_relative(y=pages * page, animate=False)

    def withdraw(self) -> None:
        """Close: the prompt was answered elsewhere."""
        self._withdrawn = True
        if self.is_active:
            self.dismiss(None)

    def on_screen_resume(self) -> None:
        """Close late where something lay over the prompt when it was answered."""
        self._appeared_s = time.monotonic()
        if self._withdrawn:
            self.dismiss(None)

    def on_mount(self) -> None:
        """Begin at the choices."""
        self._choices.focus()
        self._reason.display = False

    @on(OptionList.OptionHighlighted)
    def _tell_command(self, event: OptionList.OptionHighlighted) -> None:
        choice = str(event.option.id)
        self._command.update(words.answer_command(self.prompt, choice))
        self._reason.display = choice in self.prompt.needs_reason

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if time.monotonic() - self._appeared_s < DEAF_FOR_S:
            return
        choice = str(event.option.id)
        if choice in self.prompt.needs_reason:
            self._reason.focus()
        else:
            self.dismiss(Answer(prompt_id=self.prompt.id, value=choice))

    @on(Input.Submitted)
    def _reasoned(self, event: Input.Submitted) -> None:
        highlighted = self._choices.highlighted
        reason = event.value.strip()
        if highlighted is None or not reason:
            self.notify("a reason is needed: the report shows it", severity="warning")
            return
        choice = self.prompt.choices[highlighted]
        self.dismiss(Answer(prompt_id=self.prompt.id, value=choice, reason=reason))


class ChoiceDialog(ModalScreen[str | None]):
    """A command with a choice to make first; what the command line would say is shown.

    Parameters
    ----------
    title, text
        What it is about; what it does.
    choices
        In words, by what the command line calls them.
    command
        On the command line, up to the choice.
    way_out
        What escape leaves undone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back"),
    ]

    def __init__(
        self, title: str, text: str, choices: dict[str, str], command: str, way_out: str
    ) -> None:
        super().__init__()
        self._title, self._text, self._choices = title, text, choices
        self._command, self._way_out = command, way_out

    def compose(self) -> ComposeResult:
        """Text, choices, command."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = self._way_out
            yield Static(f"{self._text}\n")
            yield OptionList(*(Option(said, id=value) for value, said in self._choices.items()))
            yield Static(id="command")
        yield DialogKeys()

    @on(OptionList.OptionHighlighted)
    def _tell_command(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one("#command", Static).update(f"{self._command} {event.option.id}")

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option.id))


def stop_dialog() -> ChoiceDialog:
    """How soon to stop: three ways, the gentlest first."""
    return ChoiceDialog(
        title="Stop the session",
        text="The beam is blanked in every case and\n`dualtilt resume` can go on.",
        choices={when.value: said for when, said in STOP_CHOICES.items()},
        command="dualtilt stop --when",
        way_out="esc does not stop",
    )


def retake_dialog(recorded: int) -> ChoiceDialog:
    """How many of the tilts recorded so far to record again."""
    counts = [count for count in RETAKE_CHOICES if count <= recorded]
    said = {str(n): f"the last {n} tilts" if n > 1 else "the last tilt" for n in counts}
    return ChoiceDialog(
        title="Record again",
        text="After the step under way or a pause;\nthe dose is spent again.",
        choices=said,
        command="dualtilt retake --tilts",
        way_out="esc records nothing again",
    )
