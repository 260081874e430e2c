"""Application of the screen: a client of the session's service. Closing it stops nothing."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.screen import Screen

from controller.common.errors import DualtiltError
from controller.model.commands import AFTER_TARGET, Answer, StopWhen
from controller.model.events import Record, State
from controller.service.queue_status import QueueView, go_on_after_target, stop_after_target
from controller.service.session_client import ServiceClient, others_run
from controller.service.session_status import SessionStatus
from controller.ui.tui.desktop import open_in_browser
from controller.ui.tui.dialogs import PromptDialog, retake_dialog, stop_dialog
from controller.ui.tui.help_screen import HelpScreen
from controller.ui.tui.log_screen import LogScreen
from controller.ui.tui.main_screen import MainScreen
from controller.ui.tui.palette import PALETTE
from controller.ui.tui.screen_messages import (
    MainScreenUncovered,
    PictureArrived,
    QueueArrived,
    RecordsArrived,
    StatusArrived,
    Unreachable,
)
from controller.ui.tui.session_follower import SessionFollower
from controller.ui.tui.styles import MICROSCOPE_ROOM
from controller.ui.tui.targets_screen import TargetsScreen

RECORDS_KEPT = 20_000
"""Newest records kept for the log."""


_NOT_NOW = {
    "answer": "no question is open",
    "stop": "nothing to stop",
    "retake": "no tilt of a series to record again yet",
    "targets": "a single session: the list of targets is for grids",
    "open_report": "no report yet: it is written at the end of the session",
}
"""Reasons why actions that are possible only at times are not possible now."""


class SessionApp(App[None]):
    """Screen of the session in `folder`.

    Parameters
    ----------
    folder
        The session's folder.
    read_only
        True shows the session without its commands.
    follow
        True connects to the session's service; False if a test posts the messages.
    leave_when_ended_s
        Time after the session's end until the screen closes; None waits for the operator.

    Attributes
    ----------
    status
        Newest known status.
    queue
        Queue to which the session belongs; None for a single session.
    lost
        Reason why the session no longer answers; empty if it answers.
    """

    CSS_PATH = "screen.tcss"
    TITLE = "dualtilt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause"),
        Binding("space", "go_on", "Go on"),
        Binding("a", "answer", "Answer"),
        Binding("x", "stop", "Stop…"),
        Binding("r", "retake", "Retake…"),
        Binding("v", "view", "View"),
        Binding("z", "zoom", "Zoom"),
        Binding("c", "contrast", "Contrast", show=False),
        Binding("t", "targets", "Targets"),
        Binding("l", "log", "Log"),
        Binding("o", "open_report", "Report"),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("q", "detach", "Leave"),
    ]

    def __init__(
        self,
        folder: Path,
        *,
        read_only: bool = False,
        follow: bool = True,
        leave_when_ended_s: float | None = None,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._read_only = read_only
        self._leave_when_ended_s = leave_when_ended_s
        self._follower = SessionFollower(folder, self.post_message) if follow else None
        self._main = MainScreen(read_only=read_only)
        self._records: deque[Record] = deque(maxlen=RECORDS_KEPT)
        self._dialog: tuple[int | None, PromptDialog] | None = None
        self._prompt_opened_seq: int | None = None
        self._leaving = False
        self._allowed_before: dict[str, bool] = {}
        self.status = SessionStatus()
        self.queue: QueueView | None = None
        self.lost = ""

    def on_load(self) -> None:
        """Let SIGTERM close the screen, so that the terminal is given back."""
        with suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)

    def on_mount(self) -> None:
        """Open the main screen and start to follow the session."""
        self.register_theme(MICROSCOPE_ROOM)
        self.theme = MICROSCOPE_ROOM.name
        self.push_screen(self._main)
        if self._follower is not None:
            self._follower.start()

    def on_unmount(self) -> None:
        """Stop the follower thread."""
        if self._follower is not None:
            self._follower.stop()

    def on_status_arrived(self, message: StatusArrived) -> None:
        """Show the newest status."""
        self.status, self.lost = message.status, ""
        self._main.show(message.status)
        self._show_targets()
        self._follow_prompt(message.status)
        self._refresh_keys()
        if message.status.ended and self._leave_when_ended_s is not None and not self._leaving:
            self._leaving = True
            self.set_timer(self._leave_when_ended_s, self.exit)

    def on_queue_arrived(self, message: QueueArrived) -> None:
        """Show the newest state of the queue."""
        self.queue = message.queue
        self._main.show_queue(message.queue)
        self._show_targets()
        self._refresh_keys()

    def _show_targets(self) -> None:
        """Update the open list of targets."""
        for screen in self.screen_stack:
            if isinstance(screen, TargetsScreen) and self.queue is not None:
                screen.show(self.queue, self.status)

    def on_picture_arrived(self, message: PictureArrived) -> None:
        """Show a new picture."""
        self._main.add_view(message.view)

    def on_records_arrived(self, message: RecordsArrived) -> None:
        """Keep new records, and add them to an open log."""
        self._records.extend(message.records)
        self._main.add_records(message.records)
        for screen in self.screen_stack:
            if isinstance(screen, LogScreen):
                screen.add(message.records)

    def on_main_screen_uncovered(self, message: MainScreenUncovered) -> None:
        """Open a prompt that came while another screen was open."""
        del message
        self._follow_prompt(self.status)

    def on_unreachable(self, message: Unreachable) -> None:
        """Show that the session does not answer; the rest of the screen stays."""
        self.lost = "; ".join(filter(None, (message.fault, message.remedy)))
        self._main.show_lost(message.fault, message.remedy)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the actions that are possible now."""
        del parameters
        return self._allowed(self.screen).get(action, True)

    def on_key(self, event: Key) -> None:
        """Say why a key does nothing now."""
        actions = {each.key: each.action for each in self.BINDINGS if isinstance(each, Binding)}
        action = actions.get(event.key, "")
        on_main = self.screen is self._main
        if on_main and action in _NOT_NOW and not self.check_action(action, ()):
            self.notify(self._why_not(action))

    def _why_not(self, action: str) -> str:
        if action in ("targets", "open_report"):
            return _NOT_NOW[action]
        if self._read_only:
            return "this screen only shows the session"
        return "the session has ended" if self.status.ended else _NOT_NOW[action]

    def action_pause(self) -> None:
        """Pause after the current step."""
        self._send(ServiceClient.pause)

    def action_go_on(self) -> None:
        """Continue after a pause."""
        self._send(ServiceClient.go_on)

    def action_stop(self) -> None:
        """Ask when to stop."""

        def chosen(when: str | None) -> None:
            if when == AFTER_TARGET:
                self.action_stop_after_target()
            elif when is not None:
                self._send(lambda client: client.stop(StopWhen(when)))

        dialog = stop_dialog(self._session_to_name(), in_queue=self.queue is not None)
        self.push_screen(dialog, chosen)

    def action_stop_after_target(self) -> None:
        """Have the queue stop when this session has ended."""
        self._ask_queue(stop_after_target)

    def action_go_on_after_target(self) -> None:
        """Have the queue continue after this session."""
        self._ask_queue(go_on_after_target)

    def action_targets(self) -> None:
        """Open the list of targets."""
        if self.queue is not None:
            self.push_screen(TargetsScreen(self.queue, self.status))

    def action_retake(self) -> None:
        """Ask for the number of tilts to record again."""

        def chosen(count: str | None) -> None:
            if count is not None:
                self._send(lambda client: client.retake(int(count)))

        dialog = retake_dialog(self._session_to_name(), len(self.status.current_tilts))
        self.push_screen(dialog, chosen)

    def _session_to_name(self) -> str:
        """Return the folder that a command has to name; empty if no other session runs."""
        return str(self._folder) if others_run(self._folder) else ""

    def action_complete(self) -> None:
        """Have all tilts recorded, though the count is settled."""
        self._send(lambda client: client.complete())

    def action_answer(self) -> None:
        """Open the dialog of the open prompt."""
        prompt = self.status.prompt
        if prompt is None or any(isinstance(s, PromptDialog) for s in self.screen_stack):
            return

        def answered(answer: Answer | None) -> None:
            if answer is not None:
                self._send(lambda client: client.answer(answer))

        dialog = PromptDialog(prompt)
        self._prompt_opened_seq = self.status.prompt_seq
        self._dialog = self._prompt_opened_seq, dialog
        self.push_screen(dialog, answered)

    def action_view(self) -> None:
        """Show the next picture."""
        self._main.next_view()

    def action_zoom(self) -> None:
        """Change between one to one and the whole picture."""
        self._main.toggle_zoom()

    def action_contrast(self) -> None:
        """Show the picture with the next contrast limits."""
        self._main.next_contrast()

    def action_log(self) -> None:
        """Open the event log."""
        self.push_screen(LogScreen(self._records))

    def action_help(self) -> None:
        """Open the explanation of keys and words."""
        self.push_screen(HelpScreen())

    def action_open_report(self) -> None:
        """Open the report in the browser of the person at the screen."""
        report = self._folder.absolute() / (self.status.report or "report.html")
        if not report.is_file():
            self.notify(f"{report}: there is no such file", severity="error")
        elif not open_in_browser(report):
            self.notify(f"no desktop on this machine: open {report} yourself", severity="warning")

    def action_detach(self) -> None:
        """Close the screen; the session continues."""
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return all actions by name, for the command palette."""
        for command in super().get_system_commands(screen):
            if command.title != "Quit":  # Textual's own; Leave does the same
                yield command
        for name, explanation, action in PALETTE:
            if self._allowed(screen).get(action, True):
                yield SystemCommand(name, explanation, getattr(self, f"action_{action}"))

    def _allowed(self, screen: Screen[object]) -> dict[str, bool]:
        """Return True or False for each action that is possible only at times, on `screen`."""
        status = self.status
        commands = not self._read_only and not status.ended
        pictures_in_view = screen is self._main or isinstance(screen, PromptDialog)
        return {
            "pause": commands and not (status.pausing or status.state is State.PAUSED),
            "go_on": commands and (status.pausing or status.state is State.PAUSED),
            "stop": commands,
            "targets": self.queue is not None,
            "stop_after_target": commands and self.queue is not None and not self.queue.stops,
            "go_on_after_target": commands and self.queue is not None and self.queue.stops,
            "retake": commands and bool(status.current_tilts),
            "complete": commands and bool(status.current_tilts),
            "answer": commands and status.prompt is not None,
            "open_report": status.report is not None,
            "view": pictures_in_view,
            "zoom": pictures_in_view,
            "contrast": pictures_in_view,
        }

    def _refresh_keys(self) -> None:
        """Update the line of keys if the allowed actions changed (too slow for every status)."""
        allowed = self._allowed(self.screen)
        if self._allowed_before != allowed:
            self._allowed_before = allowed
            self.refresh_bindings()

    def _follow_prompt(self, status: SessionStatus) -> None:
        """Open the dialog of a new prompt; close the dialog of one that was answered elsewhere.

        The dialog opens only over the main screen: a key for another dialog must not answer it.
        """
        open_seq = status.prompt_seq if status.prompt is not None else None
        if self._dialog is not None and self._dialog[0] != open_seq:
            self._dialog[1].withdraw()
            self._dialog = None
        if open_seq != self._prompt_opened_seq and self._main.is_active and not self._read_only:
            self.action_answer()

    def _ask_queue(self, ask: Callable[[Path], None]) -> None:
        """Leave a request for the queue in its folder."""
        try:
            ask(self._folder)
        except OSError as error:
            self.notify(f"the queue was not asked: {error}", severity="error", timeout=10)

    def _send(self, command: Callable[[ServiceClient], None]) -> None:
        """Send a command on a separate thread, so that the screen never waits."""
        self.run_worker(partial(self._connect_and_send, command), thread=True, exit_on_error=False)

    def _connect_and_send(self, command: Callable[[ServiceClient], None]) -> None:
        try:
            with ServiceClient.connect(self._folder) as client:
                command(client)
        except DualtiltError as error:
            self.call_from_thread(self.notify, str(error), severity="error", timeout=10)
