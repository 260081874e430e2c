"""What the data thread tells the screen. Snapshots replace each other, log lines never do."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from controller.model.events import Record
from controller.service.pictures import Picture
from controller.service.status import SessionStatus


@dataclass(frozen=True, eq=False)
class View:
    """A picture to show."""

    name: str
    caption: str
    pixels: Picture
    """In full."""
    reduced: Picture
    """At most as large as a terminal can show."""


class StatusArrived(Message):
    """A newer status; only the newest matters."""

    def __init__(self, status: SessionStatus) -> None:
        super().__init__()
        self.status = status

    def can_replace(self, message: Message) -> bool:
        """Take the place of an older status still in the queue."""
        return isinstance(message, StatusArrived)


class PictureArrived(Message):
    """A newer picture of one view."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def can_replace(self, message: Message) -> bool:
        """Take the place of an older picture of the same view."""
        return isinstance(message, PictureArrived) and message.view.name == self.view.name


class RecordsArrived(Message):
    """Lines for the log; every one counts."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self.records = records


class Uncovered(Message):
    """Whatever lay over the main screen has been closed."""


class Unreachable(Message):
    """The session does not answer."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
