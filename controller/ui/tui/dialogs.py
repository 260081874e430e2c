"""Dialogs: prompts of the session, stop, retake."""

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

from controller.model.commands import AFTER_TARGET, Answer, StopWhen
from controller.model.prompts import Prompt
from controller.service import status_text
from controller.ui.tui.dialog_keys import DialogKeys
from controller.ui.tui.layout import LINES_AROUND_BODY, log_cells, side_cells

LINES_AROUND_STEPS = 5
"""Lines of border, title and command (two)."""
LINES_OF_GAPS = 2
"""Lines of the gaps around the choices; a low terminal has none."""
LINES_OF_REASON = 1
LOW_LINES = 30
"""Height below which a terminal is low."""
REDRAWN_AFTER_S = 1.0
"""Time after which a prompt and the screen around it are drawn again (s)."""
IGNORE_KEYS_S = 0.5
"""Time after a prompt appears in which no answer is taken (s): the key was for something else."""
RETAKE_CHOICES = (1, 2, 3, 5, 10)
"""Offered numbers of tilts to record again."""
STOP_CHOICES = {
    StopWhen.AFTER_TILT: "after this tilt",
    StopWhen.AT_END_OF_SERIES: "at the end of the series",
    StopWhen.NOW: "NOW, beam blanked at once",
}
STOP_AFTER_TARGET = "after this target, before the next one"


def _steps(prompt: Prompt) -> Table:
    """Return the instructions as a table: number, text."""
    table = Table.grid(padding=(0, 1))
    for instruction in _instructions(prompt.text):
        number, instruction_text = _NUMBERED.match(instruction).groups()  # type: ignore[union-attr]
        table.add_row(Text(number or "·", "dim"), instruction_text)
    return table


def _instructions(text: str) -> list[str]:
    """Split the text into instructions.

    A line that is indented or begins with a small letter continues the line before.
    """
    instructions: list[str] = []
    for line in text.splitlines():
        if instructions and (line[:1].isspace() or line[:1].islower()):
            instructions[-1] += f" {line.strip()}"
        else:
            instructions.append(line)
    return instructions


def _options(prompt: Prompt) -> list[Option]:
    """Return the choices, the mistakes to rehearse last, below a heading."""
    options = [Option(choice, id=choice) for choice in prompt.choices]
    if not prompt.rehearsed:
        return options
    usual = [each for each in options if each.id not in prompt.rehearsed]
    mistakes = [each for each in options if each.id in prompt.rehearsed]
    return [*usual, Option("mistakes to rehearse:", disabled=True), *mistakes]


_NUMBERED = re.compile(r"(\d+\.)?\s*(.*)")


class PromptDialog(ModalScreen[Answer | None]):
    """Dialog of one prompt, beside the image; returns None if it was closed without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Later"),
        # priority: the choices have the focus and would take these keys
        Binding("pagedown", "read(1)", "Scroll", priority=True, key_display="PgDn"),
        Binding("pageup", "read(-1)", "Scroll back", show=False, priority=True),
        # keys that help to answer
        Binding("v", "app.view", "View"),
        Binding("z", "app.zoom", "Zoom", show=False),
        Binding("x", "app.stop", "Stop…"),
        Binding("l", "app.log", "Log"),
        Binding("question_mark,f1", "app.help", "Help", key_display="?"),
        Binding("q", "app.detach", "Leave"),
    ]

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt
        self._withdrawn = False
        self._appeared_s = time.monotonic()
        # kept here, not queried: a resize event may still come while the dialog closes
        self._dialog = Vertical(classes="dialog")
        self._title = Static(id="title")
        self._instructions = VerticalScroll(Static(_steps(prompt)))
        self._choices = OptionList(*_options(prompt))
        self._reason = Input(placeholder="reason, shown in the report", id="reason", compact=True)
        self._command = Static(id="command")

    def compose(self) -> ComposeResult:
        """Lay out title, instructions, choices, reason, command and keys."""
        prompt = self.prompt
        with self._dialog:
            self._dialog.border_title = f"? {prompt.id}"
            self._dialog.border_subtitle = " · ".join(
                filter(None, ("Esc: later", prompt.unanswered))
            )
            yield self._title
            yield self._instructions
            yield self._choices
            yield self._reason
            yield self._command
        yield DialogKeys()

    def on_resize(self, event: Resize) -> None:
        """Cover the numbers, not the image."""
        self._dialog.styles.width = side_cells(event.size)
        self._dialog.styles.margin = (0, log_cells(event.size), 2, 0)
        low = event.size.height < LOW_LINES
        self._dialog.set_class(low, "low")
        taken = LINES_AROUND_BODY + LINES_AROUND_STEPS + self._choices.option_count
        taken += 0 if low else LINES_OF_GAPS
        taken += LINES_OF_REASON if self.prompt.needs_reason else 0
        self._instructions.styles.max_height = max(3, event.size.height - taken)
        self.call_after_refresh(self._show_title)

    def _show_title(self) -> None:
        """Show the title, with the key for more if the instructions do not fit."""
        title = Text(self.prompt.title, "bold")
        if self._instructions.max_scroll_y > 0:
            title.append("  PgDn scrolls", "not bold dim")
        self._title.update(title)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer "Scroll" only if the instructions do not fit."""
        del parameters
        return action != "read" or self._instructions.max_scroll_y > 0

    def action_read(self, pages: int) -> None:
        """Scroll the instructions."""
        page = max(1, self._instructions.size.height - 1)
        self._instructions.scroll_relative(y=pages * page, animate=False)

    def withdraw(self) -> None:
        """Close the dialog: the prompt was answered elsewhere."""
        self._withdrawn = True
        if self.is_active:
            self.dismiss(None)

    def on_screen_resume(self) -> None:
        """Close now if the prompt was answered while another screen covered it."""
        self._appeared_s = time.monotonic()
        if self._withdrawn:
            self.dismiss(None)

    def on_mount(self) -> None:
        """Give the focus to the choices."""
        self._choices.focus()
        self._reason.display = False
        # on a busy machine the screen below may be drawn after this one, which Textual can miss:
        # phases, image and state of the beam would stay blank
        self.set_interval(REDRAWN_AFTER_S, self.refresh)

    @on(OptionList.OptionHighlighted)
    def _show_command(self, event: OptionList.OptionHighlighted) -> None:
        choice = str(event.option.id)
        self._command.update(status_text.answer_command(self.prompt, choice))
        self._reason.display = choice in self.prompt.needs_reason

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if time.monotonic() - self._appeared_s < IGNORE_KEYS_S:
            return
        choice = str(event.option.id)
        if choice in self.prompt.needs_reason:
            self._reason.focus()
        else:
            self.dismiss(Answer(prompt_id=self.prompt.id, value=choice))

    @on(Input.Submitted)
    def _reasoned(self, event: Input.Submitted) -> None:
        highlighted = self._choices.highlighted_option
        reason = event.value.strip()
        if highlighted is None or not reason:
            self.notify("type a reason: the report shows it", severity="warning")
            return
        choice = str(highlighted.id)
        self.dismiss(Answer(prompt_id=self.prompt.id, value=choice, reason=reason))


class ChoiceDialog(ModalScreen[str | None]):
    """Dialog of a command with a choice; it shows the same command for a terminal.

    Parameters
    ----------
    title, text
        Title of the dialog; effect of the command.
    choices
        Text of each choice, by its value on the command line.
    command
        Command on the command line, without the choice.
    escape_text
        Effect of the escape key.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
    ]

    def __init__(
        self, title: str, text: str, choices: dict[str, str], command: str, escape_text: str
    ) -> None:
        super().__init__()
        self._title, self._text, self._choices = title, text, choices
        self._command, self._escape_text = command, escape_text

    def compose(self) -> ComposeResult:
        """Lay out text, choices, command and keys."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = self._escape_text
            yield Static(f"{self._text}\n")
            yield OptionList(*(Option(label, id=value) for value, label in self._choices.items()))
            yield Static(id="command")
        yield DialogKeys()

    @on(OptionList.OptionHighlighted)
    def _show_command(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one("#command", Static).update(f"{self._command} {event.option.id}")

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option.id))


def stop_dialog(session: str, *, in_queue: bool) -> ChoiceDialog:
    """Return the dialog that asks when to stop: session, or queue of targets.

    Its command names the folder `session`, if it is not empty.
    """
    choices = {when.value: label for when, label in STOP_CHOICES.items()}
    return ChoiceDialog(
        title="Stop the session",
        text="The beam is blanked in every case and\n`dualtilt resume` can continue.",
        choices=choices | ({AFTER_TARGET: STOP_AFTER_TARGET} if in_queue else {}),
        command=f"dualtilt stop{status_text.folder_argument(session)} --when",
        escape_text="Esc: cancel",
    )


def retake_dialog(session: str, recorded: int) -> ChoiceDialog:
    """Return the dialog that asks for the number of tilts to record again.

    Its command names the folder `session`, if it is not empty.
    """
    counts = [count for count in RETAKE_CHOICES if count <= recorded]
    labels = {str(n): f"the last {n} tilts" if n > 1 else "the last tilt" for n in counts}
    return ChoiceDialog(
        title="Record again",
        text="After the current step, or after a pause.\nThe dose is spent again.",
        choices=labels,
        command=f"dualtilt retake{status_text.folder_argument(session)} --tilts",
        escape_text="Esc: cancel",
    )
