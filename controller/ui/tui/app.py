"""The screen of a session: a client of its service, nothing more. Closing it stops nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import Record, State
from controller.service.client import ServiceClient, exit_code_after
from controller.service.parting import parting_lines
from controller.service.status import SessionStatus
from controller.ui.tui.desktop import open_in_browser
from controller.ui.tui.dialogs import PromptDialog, retake_dialog, stop_dialog
from controller.ui.tui.feed import Feed
from controller.ui.tui.help import HelpScreen
from controller.ui.tui.log import LogScreen
from controller.ui.tui.main_screen import MainScreen
from controller.ui.tui.messages import (
    PictureArrived,
    RecordsArrived,
    StatusArrived,
    Uncovered,
    Unreachable,
)
from controller.ui.tui.styles import MICROSCOPE_ROOM

RECORDS_KEPT = 20_000


class SessionApp(App[None]):
    """Shows the session in `folder`.

    Parameters
    ----------
    folder
        The session's folder.
    read_only
        Look only.
    follow
        Attach to the session's service; False where snapshots are posted by somebody else.
    leave_when_ended_s
        Close the screen so long after the session ended; None waits for the operator.

    Attributes
    ----------
    status
        The newest there is.
    lost
        Why the session does not answer any more; empty where it does.
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
        Binding("l", "log", "Log"),
        Binding("o", "open_report", "Report"),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("q", "detach", "Detach"),
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
        self._feed = Feed(folder, self.post_message) if follow else None
        self._main = MainScreen(read_only=read_only)
        self._records: deque[Record] = deque(maxlen=RECORDS_KEPT)
        self._dialog: tuple[int | None, PromptDialog] | None = None
        self._asked: int | None = None
        self._leaving = False
        self._offered: dict[str, bool] = {}
        self.status = SessionStatus()
        self.lost = ""

    def on_mount(self) -> None:
        """Open the main screen and begin to follow."""
        self.register_theme(MICROSCOPE_ROOM)
        self.theme = MICROSCOPE_ROOM.name
        self.push_screen(self._main)
        if self._feed is not None:
            self._feed.start()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        if self._feed is not None:
            self._feed.stop()

    def on_status_arrived(self, message: StatusArrived) -> None:
        """Show the newest status."""
        self.status, self.lost = message.status, ""
        self._main.show(message.status)
        self._follow_prompt(message.status)
        self._refresh_keys()
        if message.status.ended and self._leave_when_ended_s is not None and not self._leaving:
            self._leaving = True
            self.set_timer(self._leave_when_ended_s, self.exit)

    def on_picture_arrived(self, message: PictureArrived) -> None:
        """Show a newer picture."""
        self._main.add_view(message.view)

    def on_records_arrived(self, message: RecordsArrived) -> None:
        """Keep log lines, and show them where the log is open."""
        self._records.extend(message.records)
        self._main.add_records(message.records)
        for screen in self.screen_stack:
            if isinstance(screen, LogScreen):
                screen.add(message.records)

    def on_uncovered(self, message: Uncovered) -> None:
        """Open the prompt that had to wait."""
        del message
        self._follow_prompt(self.status)

    def on_unreachable(self, message: Unreachable) -> None:
        """Say so; what was known stays on the screen."""
        self.lost = message.text
        self._main.show_lost(message.text)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense now."""
        del parameters
        return self._allowed(self.screen).get(action, True)

    def action_pause(self) -> None:
        """Pause after the step under way."""
        self._send(ServiceClient.pause)

    def action_go_on(self) -> None:
        """Go on after a pause."""
        self._send(ServiceClient.go_on)

    def action_stop(self) -> None:
        """Ask how soon to stop."""

        def chosen(when: str | None) -> None:
            if when is not None:
                self._send(lambda client: client.stop(StopWhen(when)))

        self.push_screen(stop_dialog(), chosen)

    def action_retake(self) -> None:
        """Ask how many of the last tilts to record again."""

        def chosen(count: str | None) -> None:
            if count is not None:
                self._send(lambda client: client.retake(int(count)))

        self.push_screen(retake_dialog(len(self.status.tilts_under_way)), chosen)

    def action_answer(self) -> None:
        """Come back to the open prompt."""
        prompt = self.status.prompt
        if prompt is None or any(isinstance(s, PromptDialog) for s in self.screen_stack):
            return

        def answered(answer: Answer | None) -> None:
            if answer is not None:
                self._send(lambda client: client.answer(answer))

        dialog = PromptDialog(prompt)
        self._asked = self.status.prompt_seq
        self._dialog = self._asked, dialog
        self.push_screen(dialog, answered)

    def action_view(self) -> None:
        """Next picture."""
        self._main.next_view()

    def action_zoom(self) -> None:
        """One to one, or all of it."""
        self._main.toggle_zoom()

    def action_log(self) -> None:
        """Open the event log."""
        self.push_screen(LogScreen(self._records))

    def action_help(self) -> None:
        """Explain keys and words."""
        self.push_screen(HelpScreen())

    def action_open_report(self) -> None:
        """Open the report in the browser of whoever looks."""
        report = self._folder.absolute() / (self.status.report or "report.html")
        if not report.is_file():
            self.notify(f"{report}: not there", severity="error")
        elif self.is_web:
            self.deliver_text(report, open_method="browser", mime_type="text/html")
        elif not open_in_browser(report):
            self.notify(f"no desktop here: the report is {report}", severity="warning")

    def action_detach(self) -> None:
        """Leave; the session goes on."""
        self.exit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action by name, for the palette."""
        for command in super().get_system_commands(screen):
            if command.title != "Quit":  # detaching is what it would do
                yield command
        for name, says, action in (
            ("Pause", "after the step under way", "pause"),
            ("Go on", "after a pause", "go_on"),
            ("Answer the prompt", "that is open", "answer"),
            ("Stop…", "after this tilt, at the end of the series, now", "stop"),
            ("Retake…", "the last tilts are recorded again", "retake"),
            ("Next view", "frame, slices, fused, difference", "view"),
            ("Zoom", "one to one, or all of it", "zoom"),
            ("Log", "every event, with a filter", "log"),
            ("Open report", "in a browser", "open_report"),
            ("Detach", "the session goes on", "detach"),
        ):
            if self._allowed(screen).get(action, True):
                yield SystemCommand(name, says, getattr(self, f"action_{action}"))

    def _allowed(self, screen: Screen[object]) -> dict[str, bool]:
        """Which of the actions that are not always there are there now, seen from a screen."""
        status = self.status
        commands = not self._read_only and not status.ended
        pictures_in_view = screen is self._main or isinstance(screen, PromptDialog)
        return {
            "pause": commands and not (status.pausing or status.state is State.PAUSED),
            "go_on": commands and (status.pausing or status.state is State.PAUSED),
            "stop": commands,
            "retake": commands and bool(status.tilts_under_way),
            "answer": commands and status.prompt is not None,
            "open_report": status.report is not None,
            "view": pictures_in_view,
            "zoom": pictures_in_view,
        }

    def _refresh_keys(self) -> None:
        """Show other keys where others are offered; costly, so only then."""
        offered = self._allowed(self.screen)
        if self._offered != offered:
            self._offered = offered
            self.refresh_bindings()

    def _follow_prompt(self, status: SessionStatus) -> None:
        """Open a new prompt by itself, close one that was answered elsewhere.

        Nothing else is covered: a key meant for another dialog must not answer a prompt.
        """
        open_seq = status.prompt_seq if status.prompt is not None else None
        if self._dialog is not None and self._dialog[0] != open_seq:
            self._dialog[1].withdraw()
            self._dialog = None
        if open_seq != self._asked and self._main.is_active and not self._read_only:
            self.action_answer()

    def _send(self, command: Callable[[ServiceClient], None]) -> None:
        """Tell the session, on a thread of its own: the screen never waits."""
        self.run_worker(partial(self._tell, command), thread=True, exit_on_error=False)

    def _tell(self, command: Callable[[ServiceClient], None]) -> None:
        try:
            with ServiceClient.connect(self._folder) as client:
                command(client)
        except DualtiltError as error:
            self.call_from_thread(self.notify, str(error), severity="error", timeout=10)


def run_screen(
    folder: Path, *, read_only: bool = False, leave_when_ended_s: float | None = None
) -> ExitCode:
    """Show the session in `folder` until the operator detaches.

    Returns
    -------
    ExitCode
        The session's own where it has ended; OK where it was left to itself; BRIDGE where it
        did not answer any more.
    """
    app = SessionApp(folder, read_only=read_only, leave_when_ended_s=leave_when_ended_s)
    app.run()
    for line in parting_lines(folder, app.status, app.lost):
        print(line)  # noqa: T201
    if app.lost and not app.status.ended:
        return ExitCode.BRIDGE
    return exit_code_after(folder, app.status)
